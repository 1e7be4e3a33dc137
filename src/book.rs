//! Compiles the Rust code of the README and of the book in `docs/`.

#[doc = include_str!("../README.md")]
struct ReadMe;

#[doc = include_str!("../docs/src/getting-started.md")]
struct GettingStarted;

#[doc = include_str!("../docs/src/recording.md")]
struct Recording;

#[doc = include_str!("../docs/src/episodes.md")]
struct Episodes;

#[doc = include_str!("../docs/src/timing.md")]
struct Timing;

#[doc = include_str!("../docs/src/buffers.md")]
struct Buffers;

#[doc = include_str!("../docs/src/sinks.md")]
struct Sinks;

#[doc = include_str!("../docs/src/recovery.md")]
struct Recovery;

#[doc = include_str!("../docs/src/dataset.md")]
struct Dataset;

#[doc = include_str!("../docs/src/loading.md")]
struct Loading;

#[doc = include_str!("../docs/src/acting.md")]
struct Acting;

#[doc = include_str!("../docs/src/environments.md")]
struct Environments;

#[doc = include_str!("../docs/src/replay.md")]
struct Replay;

#[doc = include_str!("../docs/src/cli.md")]
struct Cli;

#[doc = include_str!("../docs/src/inspector.md")]
struct Inspector;

#[doc = include_str!("../docs/src/consent.md")]
struct Consent;

#[doc = include_str!("../docs/src/servers.md")]
struct Servers;

#[doc = include_str!("../docs/src/cost.md")]
struct Cost;

#[doc = include_str!("../docs/src/testing.md")]
struct Testing;

#[doc = include_str!("../docs/src/troubleshooting.md")]
struct Troubleshooting;
