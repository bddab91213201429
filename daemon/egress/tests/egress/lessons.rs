//! What has fooled others, one test for each: where a granted name may lead.
//! (`dns_rebinding_gains_nothing` stands with the streams.)

use deployd_core::ports::{Egress as _, Security};

use crate::support::{Stage, grant};

/// A name that is granted, and leads to these addresses; private ones are not granted.
async fn refused(addresses: &[&str]) {
    for address in addresses {
        let stage = Stage::new();
        stage.name("db.example.com", &[address]);
        let mut granted = grant("tcp", "db.example.com", 5432);
        granted.private_address = false;
        let access = stage.access(&[granted]);
        let connected =
            stage.broker.connect(&access, "db.example.com", 5432, &Security::Plaintext).await;
        let refused = connected.err().unwrap_or_else(|| panic!("{address} was connected to"));
        assert_eq!(refused.code(), "address-not-allowed", "{address}");
        assert!(stage.network.connected.lock().unwrap().is_empty(), "{address}");
    }
}

#[tokio::test]
async fn ipv4_mapped_ipv6_is_the_address_that_it_maps() {
    refused(&["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1"])
        .await;
}

#[tokio::test]
async fn link_local_addresses_are_private() {
    refused(&["169.254.0.1", "169.254.255.254", "fe80::1", "febf::1"]).await;
}

#[tokio::test]
async fn metadata_addresses_are_not_reached_by_a_name() {
    refused(&["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "168.63.129.16"]).await;
}
