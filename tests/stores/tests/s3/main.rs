//! Datasets in an S3 server that the tests start, with its faults: killed, slow, full, overloaded, without the bucket, and with wrong
//! credentials. Games are processes that can be killed, and the command `experience` reads what they have uploaded.

mod commands;
mod faults;
mod google;
mod uploads;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};
use stores::{Dialect, S3Server, SECRET_KEY};
use tempfile::TempDir;

const BUCKET: &str = "games";
const ADDRESS: &str = "s3://games/arena/v1";

/// A server with a bucket, and folders for the hosts of the games.
struct World {
    server: S3Server,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self::of(Dialect::Amazon)
    }

    /// With a server that has another interface.
    fn of(dialect: Dialect) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let buckets = folder.path().join("buckets");
        std::fs::create_dir(&buckets).unwrap();
        let server = S3Server::start_as(dialect, &buckets);
        server.create_bucket(BUCKET);
        Self { server, folder }
    }

    fn staging(&self) -> PathBuf {
        self.folder.path().join("staging")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.server.environment()).env("HOME", self.folder.path());
        command
    }

    /// A game that records `shards` shards as run `run`.
    fn recorder(&self, address: &str, run: u32, shards: u32, options: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_recorder")));
        command
            .arg(address)
            .arg(self.staging())
            .arg(run.to_string())
            .arg(shards.to_string())
            .args(options);
        command
    }

    /// Runs a game to its end, and returns what it printed.
    #[track_caller]
    fn record(&self, run: u32, shards: u32, options: &[&str]) -> String {
        printed(self.recorder(ADDRESS, run, shards, options).output().unwrap())
    }

    /// Runs the command `experience`.
    #[track_caller]
    fn experience(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(&experience()).args(arguments).output().unwrap();
        (output.status.code(), printed(output))
    }

    /// The number of episodes that readers find at the address, after every rule of the format was checked.
    #[track_caller]
    fn episodes(&self) -> u64 {
        let (code, printed) = self.experience(&["validate", ADDRESS, "--quiet"]);
        assert_eq!(code, Some(0), "{printed}");
        let (code, printed) = self.experience(&["stats", ADDRESS, "--json", "--quiet"]);
        assert_eq!(code, Some(0), "{printed}");
        number_after(&printed, "\"episodes\":")
    }

    /// The files in the bucket, below the prefix of the dataset.
    fn objects(&self) -> Vec<String> {
        let root = self.folder.path().join("buckets").join(BUCKET).join("arena/v1");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path => found.push(path.strip_prefix(&root).unwrap().to_string_lossy().into_owned()),
                }
            }
        }
        found.sort();
        found
    }

    /// Bytes of files that wait on the disk.
    fn waiting_shards(&self) -> usize {
        let mut count = 0;
        let mut folders = vec![self.staging()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                count += usize::from(path.extension().is_some_and(|extension| extension == "parquet"));
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        count
    }
}

/// The command `experience`, which the same build has made.
fn experience() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    let command = folder.join("experience").with_extension(env::consts::EXE_EXTENSION);
    assert!(
        command.is_file(),
        "build it with `cargo test -p stores -p experience_cli --features experience_cli/object_store`"
    );
    command
}

/// All that a command printed, which never has the key in it.
#[track_caller]
fn printed(output: Output) -> String {
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!printed.contains(SECRET_KEY), "{printed}");
    assert!(!printed.contains(stores::ACCESS_KEY), "{printed}");
    printed
}

#[track_caller]
fn number_after(text: &str, key: &str) -> u64 {
    let (_, rest) = text
        .split_once(key)
        .unwrap_or_else(|| panic!("`{key}` is not in {text}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number follows `{key}` in {text}"))
}

/// A running game.
struct Game {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Game {
    fn spawn(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// Waits for a line that begins with `start`.
    #[track_caller]
    fn wait_for(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "the game ended before `{start}`"
            );
            assert!(!line.starts_with("error"), "{line}");
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Lets a paused game end, and returns the rest of what it prints.
    fn finish(mut self) -> String {
        let mut input = self.process.stdin.take().unwrap();
        let _ = input.write_all(b"\n");
        drop(input);
        let mut rest = String::new();
        let _ = std::io::Read::read_to_string(&mut self.lines, &mut rest);
        let _ = self.process.wait();
        rest
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Waits until `condition` holds.
#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} takes more than a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}
