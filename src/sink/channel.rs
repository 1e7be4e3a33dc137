//! A channel.
/// Placeholder.
#[derive(Debug)]
pub struct ChannelSink;
