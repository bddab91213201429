//! The status of ingresses: the gateway's address.

use serde_json::json;

use super::Again;
use crate::cluster::Cluster;
use crate::json;
use crate::storage::Key;

const MANAGER: &str = "ingress-controller";

pub(super) fn reconcile(cluster: &Cluster, key: &Key) -> Again {
    let address = cluster.gateway.get()?;
    cluster.set_status(MANAGER, key, |status| {
        let place = json!([{"ip": address.ip().to_string(),
            "ports": [{"port": address.port(), "protocol": "TCP"}]}]);
        json::put(status, &["loadBalancer", "ingress"], place);
    });
    None
}
