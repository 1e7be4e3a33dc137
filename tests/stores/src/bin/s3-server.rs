//! `s3-server FOLDER BUCKET..`: serves a folder as S3 until it is killed, and prints the environment of its clients.

#![expect(clippy::print_stdout, reason = "a command prints")]

use std::{env, path::PathBuf, thread, time::Duration};
use stores::S3Server;

fn main() {
    let mut arguments = env::args_os().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        println!("usage: s3-server FOLDER BUCKET..");
        return;
    };
    let server = S3Server::start(&folder);
    for bucket in arguments {
        server.create_bucket(&bucket.to_string_lossy());
    }
    for (name, value) in server.environment() {
        println!("export {name}={value}");
    }
    println!("# ready");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
