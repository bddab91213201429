//! Ways to write an address that must not be reached, and ways that are fine.
//!
//! Every host here is granted as it is written, without private addresses: what
//! refuses it is what it means. The resolver is hostile: names that it is not
//! told about are this machine.

use std::collections::BTreeSet;

use deployd_core::FaultClass;
use deployd_core::config::HostGrant;
use deployd_core::ports::{Egress as _, Exchange, Security};
use url::Url;

use crate::support::{Stage, answering, grant};

/// What is asked for over HTTP, and refused.
const URLS: &[&str] = &[
    // Loopback, as numbers.
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/",
    "https://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.127.127.127/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0X7F000001/",
    "http://0x7f.1/",
    "http://0x7f.0.0.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0177.1/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://00000177.0.0.1/",
    "http://0177.0x0.0.1/",
    "http://127.0x0.00.1/",
    "http://127.0.0x0001/",
    "http://127.65535/",
    "http://127.0.0.1./",
    "http://127.1./",
    "http://2130706433./",
    "http://0x7f.1./",
    "http://2130706434/",
    "http://127.000.000.001/",
    // The unspecified address, which many systems take for loopback.
    "http://0/",
    "http://0.0.0.0/",
    "http://0.0/",
    "http://00/",
    "http://0x0/",
    "http://0x/",
    "http://000000000000/",
    "http://0.0.0.0:22/",
    "http://0.1.2.3/",
    // Other scripts' digits and dots, and percent-encoding.
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://127｡0｡0｡1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://⑯⑨.②⑤④.⑯⑨.②⑤④/",
    "http://𝟙𝟚𝟟.𝟘.𝟘.𝟙/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
    "http://1²7.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://%6c%6f%63%61%6c%68%6f%73%74/",
    "http://%30x7f.1/",
    "http://127.0.0.1%2f.example.com/",
    "http://127.0.0.1%00.example.com/",
    "http://127.0.0.1%0a/",
    "http://127.0.0.1%20/",
    "http://127.0.0.1%23.example.com/",
    "http://%e2%93%9b%e2%93%9e%e2%93%92%e2%93%90%e2%93%9b%e2%93%97%e2%93%9e%e2%93%a2%e2%93%a3/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://𝓵𝓸𝓬𝓪𝓵𝓱𝓸𝓼𝓽/",
    "http://local\u{ad}host/",
    "http://localhoſt/",
    "http://127.0.0.1\u{200b}/",
    // Names of this machine.
    "http://localhost/",
    "http://LOCALHOST/",
    "http://LocalHost:8080/",
    "http://localhost./",
    "http://localhost../",
    "http://a.localhost/",
    "http://a.b.localhost./",
    "http://localhost.localdomain/",
    "http://localhost4/",
    "http://localhost6.localdomain6/",
    "http://ip6-localhost/",
    "http://ip6-loopback/",
    "http://broadcasthost/",
    // Names that lead to it.
    "http://localtest.me/",
    "http://127.0.0.1.nip.io/",
    "http://7f000001.nip.io/",
    "http://www.127-0-0-1.sslip.io/",
    "http://customer1.app.localhost.my.company.127.0.0.1.nip.io/",
    "http://spoofed.burpcollaborator.net/",
    "http://lvh.me/",
    "http://intranet/",
    "http://kubernetes.default.svc/",
    "http://mixed-case.LOCALTEST.me./",
    "http://to-private.test/",
    "http://to-metadata.test/",
    "http://to-mapped.test/",
    "http://to-nat64.test/",
    "http://to-unique-local.test/",
    "http://to-multicast.test/",
    "http://to-unspecified.test/",
    "http://to-nothing-good.test/",
    // Loopback in IPv6.
    "http://[::1]/",
    "http://[::1]:8080/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "http://[::0001]/",
    "http://[0::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:0]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::FFFF:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[0000:0000:0000:0000:0000:ffff:7f00:0001]/",
    "http://[::ffff:0.0.0.0]/",
    "http://[::127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::127.0.0.1]/",
    "http://[64:ff9b:1:7f00:0:100::]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:7f00:1::1]/",
    "http://[2001::1]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "http://[2a00:1450::5efe:127.0.0.1]/",
    "http://[::1%25lo]/",
    "http://[::1%lo]/",
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://::1/",
    "http://::1:80/",
    "http://[::1]@example.com:80:80/",
    "http://[127.0.0.1]/",
    "http://[localhost]/",
    "http://[::1.2.3]/",
    "http://[v1.127.0.0.1]/",
    // Metadata services.
    "http://169.254.169.254/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xA9.0xFE.0xA9.0xFE/",
    "http://0251.0376.0251.0376/",
    "http://0251.254.169.254/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://metadata.google%2einternal/",
    "http://metadata/",
    "http://metadata.goog/",
    "http://instance-data/",
    "http://instance-data.ec2.internal/",
    // Private and other networks.
    "http://10.0.0.1/",
    "http://10.1/",
    "http://167772161/",
    "http://012.0.0.1/",
    "http://0xa.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.1/",
    "http://3232235521/",
    "http://100.64.0.1/",
    "http://169.254.1.1/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://203.0.113.1/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:192.168.1.1]/",
    // Users, tricks with what ends a host, and what parsers disagree about.
    "http://example.com@127.0.0.1/",
    "http://user:password@127.0.0.1/",
    "http://user@example.com/",
    "http://:password@example.com/",
    "http://127.0.0.1@example.com/",
    "http://127.0.0.1:80@example.com:80/",
    "http://1.1.1.1 @127.0.0.1/",
    "http://1.1.1.1&@2.2.2.2# @3.3.3.3/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "http:////localhost/",
    "HtTp://127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1;.example.com/",
    "http://example.com:80#@127.0.0.1:80@x/ ",
    " http://127.0.0.1/",
    "http://127.0.0.1/\n",
    "ht\ttp://127.0.0.1/",
    "http://127.0.\t0.1/",
    "http://127.0.\n0.1/",
    "http://example.com\0.127.0.0.1/",
    "http://127.0.0.1\0.example.com/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-80/",
    "http://127.0.0.1:0x50/",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://0x100000000/",
    "http://4294967296/",
    "http:///",
    "http://",
    "//127.0.0.1/",
    "127.0.0.1",
    // Other schemes.
    "ftp://1.1.1.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "dict://127.0.0.1:11211/stat",
    "unix:///var/run/docker.sock",
    "data:text/plain,x",
    "jar:http://127.0.0.1!/",
    "ws://127.0.0.1/",
];

/// What is asked for as a byte stream, and refused.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "127.000.000.001",
    "0",
    "0.0.0.0",
    "::",
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
    "[::ffff:7f00:1]",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fe80::1%eth0",
    "::1%lo",
    "localhost",
    "LOCALHOST.",
    "db.localhost",
    "metadata.google.internal",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "fd00:ec2::254",
    "100.100.100.200",
    "10.0.0.1",
    "192.168.0.1",
    "172.16.0.1",
    "fd00::1",
    "fec0::1",
    "224.0.0.1",
    "255.255.255.255",
    "１２７.0.0.1",
    "127。0。0。1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "localhost%00.example.com",
    "localhost\0.example.com",
    "user@127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.1/",
    "http://127.0.0.1",
    "127.0.0.1#",
    " 127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1\n",
    "",
    ".",
    "127%2e0%2e0%2e1",
    "localtest.me",
    "127.0.0.1.nip.io",
    "to-metadata.test",
    "to-private.test",
    "to-mapped.test",
    "to-nothing-good.test",
];

/// What is fine.
const FINE: &[&str] = &[
    "http://93.184.215.14/",
    "http://1.1.1.1/",
    "http://1.1/",
    "http://8.8.8.8:8080/path",
    "http://126.255.255.255/",
    "http://128.0.0.1/",
    "http://172.15.255.255/",
    "http://172.32.0.1/",
    "http://192.167.255.255/",
    "http://100.63.255.255/",
    "http://100.128.0.1/",
    "http://169.253.255.255/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2606:4700:4700:0:0:0:0:1111]:8080/",
    "http://[::ffff:1.1.1.1]/",
    "http://public.test/",
    "http://PUBLIC.test./a?b=http://127.0.0.1/#c",
    "http://public.test:8080/@127.0.0.1/",
    "http://bücher.test/",
    "http://xn--bcher-kva.test/",
    "http://localhost.public.test/",
    "http://127.0.0.1.public.test/",
];

fn stage() -> Stage {
    let stage = Stage::new();
    // Whatever passes by mistake stays on this machine, where nobody listens.
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], 1).into());
    *stage.network.others.lock().unwrap() = vec!["127.0.0.1".parse().unwrap()];
    for (name, addresses) in [
        ("to-private.test", &["10.20.30.40"][..]),
        ("to-metadata.test", &["169.254.169.254"]),
        ("to-mapped.test", &["::ffff:127.0.0.1"]),
        ("to-nat64.test", &["64:ff9b::a00:1"]),
        ("to-unique-local.test", &["fd00::1"]),
        ("to-multicast.test", &["224.0.0.1"]),
        ("to-unspecified.test", &["0.0.0.0", "::"]),
        ("to-nothing-good.test", &["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1"]),
        ("public.test", &["93.184.215.14"]),
        ("xn--bcher-kva.test", &["93.184.215.14", "2606:4700:4700::1111"]),
        ("localhost.public.test", &["93.184.215.14"]),
        ("127.0.0.1.public.test", &["93.184.215.14"]),
    ] {
        stage.name(name, addresses);
    }
    stage
}

/// Grants for what a URL says to its parser, and for what it looks like.
fn grants(url: &str) -> Vec<HostGrant> {
    let mut grants = Vec::new();
    if let Ok(url) = Url::parse(url.trim()) {
        let port = url.port_or_known_default().unwrap_or(80);
        grants.push(grant(url.scheme(), url.host_str().unwrap_or_default(), port));
    }
    for host in ["example.com", "127.0.0.1", "localhost", "1.1.1.1", "::1"] {
        grants.extend(["http", "https"].map(|scheme| grant(scheme, host, 80)));
    }
    for grant in &mut grants {
        grant.private_address = false;
    }
    grants
}

fn get(url: &str) -> Exchange {
    Exchange { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
}

/// The lesson of CVE-2026-40161 and of every other forged request: what counts
/// is the address, however it is written.
#[tokio::test]
async fn forbidden_addresses_are_refused_however_they_are_written() {
    let ways: BTreeSet<_> = URLS.iter().collect();
    assert_eq!(ways.len(), URLS.len(), "one is here twice");
    assert!(ways.len() >= 150, "{}", ways.len());
    let stage = stage();
    for url in URLS {
        let access = stage.access(&grants(url));
        let error = match stage.broker.exchange(&access, get(url)).await {
            Err(error) => error,
            Ok(answer) => panic!("{url:?} was answered with {}", answer.status),
        };
        assert!(
            matches!(error.class(), FaultClass::Denied | FaultClass::Invalid),
            "{url:?}: {error}"
        );
        assert_ne!(error.code(), "host-not-granted", "{url:?}: it must not depend on that");
        assert!(stage.network.connected.lock().unwrap().is_empty(), "{url:?}");
    }
    // Each of them has left its line.
    assert_eq!(stage.uses.0.lock().unwrap().len(), URLS.len());
}

#[tokio::test]
async fn forbidden_hosts_are_refused_however_they_are_written() {
    let stage = stage();
    for host in HOSTS {
        let mut granted = grant("tcp", host, 80);
        granted.private_address = false;
        let access = stage.access(&[granted]);
        let connected = stage.broker.connect(&access, host, 80, &Security::Plaintext).await;
        let error = connected.err().unwrap_or_else(|| panic!("{host:?} was connected to"));
        assert!(
            ["address-not-allowed", "host-invalid"].contains(&error.code()),
            "{host:?}: {error}"
        );
        assert!(stage.network.connected.lock().unwrap().is_empty(), "{host:?}");
    }
}

/// Names of this machine and of metadata services are not even resolved.
#[tokio::test]
async fn names_of_this_machine_are_not_asked_for() {
    let stage = stage();
    for name in ["localhost", "a.localhost", "metadata.google.internal", "instance-data"] {
        let mut granted = grant("tcp", name, 80);
        granted.private_address = false;
        let access = stage.access(&[granted]);
        let refused = stage.broker.connect(&access, name, 80, &Security::Plaintext).await;
        assert_eq!(refused.err().unwrap().code(), "address-not-allowed", "{name}");
    }
    assert!(stage.network.asked.lock().unwrap().is_empty());
}

/// A grant of private addresses is none of a metadata service.
#[tokio::test]
async fn private_addresses_are_not_metadata_services() {
    let stage = stage();
    let to = |host: &str| grant("tcp", host, 80);
    let access = stage.access(&[to("to-metadata.test")]);
    let refused = stage.broker.connect(&access, "to-metadata.test", 80, &Security::Plaintext).await;
    let refused = refused.err().unwrap();
    assert_eq!(refused.code(), "address-not-allowed");
    assert!(refused.to_string().contains("the address itself"), "{refused}");
    assert!(stage.network.connected.lock().unwrap().is_empty());
}

#[tokio::test]
async fn public_addresses_pass_however_they_are_written() {
    assert!(FINE.len() >= 20);
    let stage = stage();
    let port = answering("HTTP/1.1 204 No Content\r\n\r\n").await.port();
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], port).into());
    for (index, url) in FINE.iter().enumerate() {
        let access = stage.access(&grants(url));
        let answer = stage.broker.exchange(&access, get(url)).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(204), "{url}");
        assert_eq!(stage.network.connected.lock().unwrap().len(), index + 1, "{url}");
    }
}
