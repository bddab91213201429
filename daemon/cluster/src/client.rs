//! Clients of clusters, one per access, kept.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use deployd_core::ports::{ClusterAccess, Target};
use deployd_core::{Digest, Fault};
use kube::{Client, Config};
use tokio::sync::Semaphore;

use crate::access;
use crate::discovery::Kinds;
use crate::faults;
use crate::options::ClusterOptions;

/// A client and what was learned about its cluster.
pub(crate) struct Connection {
    client: RwLock<Issue>,
    /// What a client is made of anew when its credentials have been renewed.
    renewable: Option<Config>,
    pub(crate) kinds: Kinds,
    /// A turn for each request that is under way. Who waits for a pause between
    /// tries, or for events, needs none.
    pub(crate) turns: Semaphore,
    /// Half as many for watches that are being opened, which take a turn as well.
    /// Hundreds of rollouts are watched while they wait; when a server takes no more
    /// of that, what is to be changed must not stand in line behind it.
    pub(crate) openings: Semaphore,
}

/// A client, and the how manieth it is.
#[derive(Clone)]
struct Issue {
    number: u64,
    client: Client,
}

impl Connection {
    pub(crate) fn new(client: Client, renewable: Option<Config>, turns: usize) -> Self {
        Self {
            client: RwLock::new(Issue { number: 0, client }),
            renewable,
            kinds: Kinds::default(),
            turns: Semaphore::new(turns.max(2)),
            openings: Semaphore::new((turns / 2).max(1)),
        }
    }

    /// The client, and its number: what is told when it was not let in.
    pub(crate) fn client(&self) -> (u64, Client) {
        let issue = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        (issue.number, issue.client)
    }

    /// Reads the credentials again, because the client of this number was not
    /// let in. False when there is nothing to read them from.
    pub(crate) fn renew(&self, number: u64) -> bool {
        let Some(config) = &self.renewable else { return false };
        let mut issue = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if issue.number != number {
            // Somebody else was not let in either, and was faster.
            return true;
        }
        match Client::try_from(config.clone()) {
            Ok(client) => {
                *issue = Issue { number: number + 1, client };
                true
            }
            Err(error) => {
                tracing::warn!(%error, "renewed credentials of a cluster can't be read");
                false
            }
        }
    }
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
pub(crate) struct Clients {
    kept: Mutex<Vec<(Digest, Arc<Connection>)>>,
    /// Where every access leads, if not where it says.
    given: Option<Client>,
}

impl Clients {
    /// All accesses lead to this client.
    pub(crate) fn over(given: Client) -> Self {
        Self { kept: Mutex::default(), given: Some(given) }
    }

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
                let made = self.connect(target, options).await?;
                self.keep(digest, Arc::new(made), options.clients)
            }
        };
        Ok(Session {
            connection,
            cluster: Arc::from(target.name.as_str()),
            options: Arc::clone(options),
        })
    }

    async fn connect(
        &self,
        target: &Target,
        options: &ClusterOptions,
    ) -> Result<Connection, Fault> {
        let turns = options.requests_per_cluster;
        if let Some(client) = &self.given {
            return Ok(Connection::new(client.clone(), None, turns));
        }
        let config = access::config(&target.access, &target.name).await?;
        // Only the account of a pod is read from a file, which the kubelet renews.
        let renewable = (target.access == ClusterAccess::InCluster).then(|| config.clone());
        let client =
            Client::try_from(config).map_err(|error| faults::unusable(&target.name, &error))?;
        Ok(Connection::new(client, renewable, turns))
    }

    fn kept(&self, digest: &Digest) -> Option<Arc<Connection>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while !kept.is_empty() && kept.len() >= limit.max(1) {
            kept.remove(0);
        }
        kept.push((digest, Arc::clone(&made)));
        made
    }
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
        assert_eq!(clients.kept.lock().unwrap().len(), 2);
    }
}
