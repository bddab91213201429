//! How a practice cluster is set up.

use std::time::Duration;

/// The settings of a practice cluster.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PracticeOptions {
    /// How long each stage of a healthy pod's start takes: pulling the image
    /// and starting the container. Tens of milliseconds by default; a demo
    /// may like seconds.
    pub pace: Duration,
    /// How long a pod takes to stop after it was asked to.
    pub stop: Duration,
    /// How long a crashed container waits before it starts again, the first
    /// time; it doubles with every crash, up to sixty-four times as long.
    pub back_off: Duration,
    /// Connections of clients to the API at a time; who opens more waits. Each
    /// watch is one, where a client speaks HTTP/1.1.
    pub connections: usize,
    /// How often an idle watch that allows it gets a bookmark. A real server sends
    /// one a minute; a practice run is shorter.
    pub bookmark_every: Duration,
    /// The name of the only node.
    pub node: String,
    /// The version that `/version` tells.
    pub version: String,
    /// The port of the API, 0 for any that is free.
    pub port: u16,
    /// The port of the gateway, 0 for any that is free.
    pub gateway_port: u16,
    /// The bearer token that clients must send; one is made up if there is none.
    pub token: Option<String>,
}

impl Default for PracticeOptions {
    fn default() -> Self {
        Self {
            pace: Duration::from_millis(15),
            stop: Duration::from_millis(15),
            back_off: Duration::from_millis(200),
            connections: 1024,
            bookmark_every: Duration::from_secs(5),
            node: "practice-node".to_owned(),
            version: "v1.34.0".to_owned(),
            port: 0,
            gateway_port: 0,
            token: None,
        }
    }
}

impl PracticeOptions {
    /// The default settings, to be changed field by field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With another pace of starting pods.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// With another time that a pod takes to stop.
    #[must_use]
    pub fn stop(mut self, stop: Duration) -> Self {
        self.stop = stop;
        self
    }

    /// With another time for the first restart of a crashed container.
    #[must_use]
    pub fn back_off(mut self, back_off: Duration) -> Self {
        self.back_off = back_off;
        self
    }

    /// With room for more connections, or fewer.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// With another time between bookmarks of a watch.
    #[must_use]
    pub fn bookmark_every(mut self, bookmark_every: Duration) -> Self {
        self.bookmark_every = bookmark_every;
        self
    }

    /// With fixed ports for the API and the gateway.
    #[must_use]
    pub fn ports(mut self, api: u16, gateway: u16) -> Self {
        self.port = api;
        self.gateway_port = gateway;
        self
    }

    /// With a fixed token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }
}
