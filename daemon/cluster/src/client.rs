//! Clients of clusters, one per access, kept.

use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::ports::{ClusterAccess, Target};
use deployd_core::{Digest, Fault};
use kube::Client;

use crate::access;
use crate::discovery::Kinds;
use crate::faults;
use crate::options::ClusterOptions;

/// A client and what was learned about its cluster.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) kinds: Kinds,
}

/// A connection under the name that people know its cluster by.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) connection: Arc<Connection>,
    pub(crate) cluster: Arc<str>,
    pub(crate) options: Arc<ClusterOptions>,
}

/// The clients in use, the one used last at the end.
#[derive(Default)]
pub(crate) struct Clients(Mutex<Vec<(Digest, Arc<Connection>)>>);

impl Clients {
    /// The session for a target, over a kept client when there is one.
    pub(crate) async fn session(
        &self,
        target: &Target,
        options: &Arc<ClusterOptions>,
    ) -> Result<Session, Fault> {
        let digest = access::digest(&target.access);
        let connection = match self.kept(&digest) {
            Some(connection) => connection,
            None => {
                let made = Arc::new(connect(&target.access, &target.name).await?);
                self.keep(digest, made, options.clients)
            }
        };
        Ok(Session {
            connection,
            cluster: Arc::from(target.name.as_str()),
            options: Arc::clone(options),
        })
    }

    fn kept(&self, digest: &Digest) -> Option<Arc<Connection>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = kept.iter().position(|(each, _)| each == digest)?;
        let entry = kept.remove(position);
        let connection = Arc::clone(&entry.1);
        kept.push(entry);
        Some(connection)
    }

    /// Keeps a connection, unless somebody else was faster: then theirs.
    fn keep(&self, digest: Digest, made: Arc<Connection>, limit: usize) -> Arc<Connection> {
        if let Some(theirs) = self.kept(&digest) {
            return theirs;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !kept.is_empty() && kept.len() >= limit.max(1) {
            kept.remove(0);
        }
        kept.push((digest, Arc::clone(&made)));
        made
    }
}

async fn connect(access: &ClusterAccess, cluster: &str) -> Result<Connection, Fault> {
    let config = access::config(access, cluster).await?;
    let client = Client::try_from(config).map_err(|error| faults::unusable(cluster, &error))?;
    Ok(Connection { client, kinds: Kinds::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_core::secret::SecretValue;

    fn target(token: &str) -> Target {
        Target {
            name: "west".to_owned(),
            access: ClusterAccess::Token {
                server: "http://127.0.0.1:1".to_owned(),
                ca: None,
                token: SecretValue::new(token.as_bytes().to_vec()),
            },
            namespace: "shop".to_owned(),
        }
    }

    #[tokio::test]
    async fn clients_are_kept_the_last_used_the_longest() {
        let clients = Clients::default();
        let options = Arc::new(ClusterOptions { clients: 2, ..ClusterOptions::default() });
        let get =
            async |token: &str| clients.session(&target(token), &options).await.unwrap().connection;
        let (a, b) = (get("a").await, get("b").await);
        assert!(Arc::ptr_eq(&a, &get("a").await));
        get("c").await;
        assert!(Arc::ptr_eq(&a, &get("a").await), "was used last");
        assert!(!Arc::ptr_eq(&b, &get("b").await), "made room");
        assert_eq!(clients.0.lock().unwrap().len(), 2);
    }
}
