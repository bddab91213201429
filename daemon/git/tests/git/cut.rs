//! Connections that break, everywhere: never two commits by one key, never a half one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use deployd_core::ports::{
    Access, CallLog, Connection, Destination, Egress, EgressError, Exchange, Exchanged,
    Repositories as _, Scheme, Security,
};
use fixtures::sshd::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Stage, after, request, us};

/// Passes connections on, until so many bytes have gone in one direction.
struct Cutter {
    port: u16,
    left: Arc<[AtomicUsize; 2]>,
}

const NEVER: usize = usize::MAX / 2;

impl Cutter {
    async fn before(upstream: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new([AtomicUsize::new(NEVER), AtomicUsize::new(NEVER)]);
        let counters = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let counters = Arc::clone(&counters);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(upstream).await else { return };
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    // What ends in one direction ends in both, at once.
                    tokio::select! {
                        () = pass(near_read, far_write, &counters[0]) => {}
                        () = pass(far_read, near_write, &counters[1]) => {}
                    }
                });
            }
        });
        Self { port, left }
    }

    /// Cuts once, after so many bytes; connections after that one last.
    fn cut_after(&self, direction: usize, bytes: usize) {
        self.left[direction].store(bytes, Ordering::SeqCst);
    }

    fn mend(&self) -> bool {
        let cut = self.left.iter().any(|left| left.load(Ordering::SeqCst) >= NEVER);
        self.left.iter().for_each(|left| left.store(NEVER, Ordering::SeqCst));
        cut
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    left: &AtomicUsize,
) {
    let mut part = [0; 4096];
    loop {
        let Ok(length) = from.read(&mut part).await else { return };
        if length == 0 {
            // The other direction may have more.
            let _ = to.shutdown().await;
            return std::future::pending().await;
        }
        let allowed = left.load(Ordering::SeqCst);
        if allowed < length {
            let _ = to.write_all(&part[..allowed]).await;
            left.store(NEVER, Ordering::SeqCst);
            return;
        }
        if allowed < NEVER {
            left.fetch_sub(length, Ordering::SeqCst);
        }
        if to.write_all(&part[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_after_any_number_of_bytes() {
    let stage = Stage::new();
    let cutter = Cutter::before(stage.server.address).await;
    let branch =
        stage.at(&format!("http://127.0.0.1:{}/environments.git", cutter.port), cutter.port);
    let mut done = stage.commit(&stage.request("0", &[("a/x", "0\n")])).await.unwrap();
    let (mut cuts, mut number) = (0, 0);
    for direction in [0, 1] {
        // The requests of a commit have about 2,000 bytes, and so have the answers.
        for bytes in (0..2_200).step_by(57) {
            number += 1;
            let key = format!("k{number}");
            let text = format!("{number}\n");
            let mut one = after(&done, request(branch.clone(), &key, &[("a/x", &text)]));
            cutter.cut_after(direction, bytes);
            // Half of the time by somebody who remembers nothing, as after a restart.
            let git = us(&stage.egress);
            let git = if number % 2 == 0 { &git } else { &stage.git };
            let first = git.commit(&one, &CallLog::default()).await;
            cuts += usize::from(cutter.mend());
            done = match first {
                Ok(done) => done,
                Err(fault) => {
                    assert!(fault.is_transient(), "{fault}");
                    one.again = true;
                    us(&stage.egress).commit(&one, &CallLog::default()).await.unwrap()
                }
            };
            assert!(done.changed);
            assert_eq!(stage.content("a/x"), number.to_string());
        }
    }
    assert!(cuts > 0);
    let keys =
        stage.bare(&["log", "--format=%(trailers:key=Deployd-Key,valueonly,separator=)", "main"]);
    let expected: Vec<String> =
        (1..=number).rev().map(|number| format!("k{number}")).chain(["0".to_owned()]).collect();
    assert_eq!(keys.lines().collect::<Vec<_>>(), expected);
    stage.sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_ssh_that_is_cut() {
    let stage = Stage::new();
    let server = Sshd::start(&stage.folder.path().join("ssh"), true).unwrap();
    let cutter = Cutter::before(([127, 0, 0, 1], server.port).into()).await;
    let mut branch = crate::ssh::branch(&stage, &server, cutter.port);
    branch.repository =
        format!("ssh://{}@127.0.0.1:{}{}", server.user, cutter.port, stage.bare.display());
    let mut done = stage.commit(&stage.request("0", &[("a/x", "0\n")])).await.unwrap();
    let (mut cuts, mut number) = (0, 0);
    for direction in [0, 1] {
        // Shaking hands takes some 3,000 bytes, and the commit about as many.
        for bytes in (0..6_500).step_by(640) {
            number += 1;
            let text = format!("{number}\n");
            let files = [("a/x", text.as_str())];
            let mut one = after(&done, request(branch.clone(), &format!("k{number}"), &files));
            cutter.cut_after(direction, bytes);
            let first = us(&stage.egress).commit(&one, &CallLog::default()).await;
            cuts += usize::from(cutter.mend());
            done = match first {
                Ok(done) => done,
                Err(fault) => {
                    assert!(fault.is_transient(), "{fault}");
                    one.again = true;
                    us(&stage.egress).commit(&one, &CallLog::default()).await.unwrap()
                }
            };
            assert_eq!(stage.made_by(&format!("k{number}")), 1);
        }
    }
    assert!(cuts > 0);
    assert_eq!(stage.bare(&["rev-list", "--count", "main"]), (number + 1).to_string());
    stage.sound();
}

/// A way out that fails at one of its uses: before it, or after it when nobody hears of it.
struct Failing {
    inner: Arc<dyn Egress>,
    uses: AtomicUsize,
    fails_at: usize,
    afterwards: bool,
}

#[async_trait]
impl Egress for Failing {
    async fn connect(
        &self,
        access: &Access,
        host: &str,
        port: u16,
        security: &Security,
    ) -> Result<Box<dyn Connection>, EgressError> {
        self.inner.connect(access, host, port, security).await
    }

    async fn exchange(&self, access: &Access, request: Exchange) -> Result<Exchanged, EgressError> {
        let fails = self.uses.fetch_add(1, Ordering::SeqCst) == self.fails_at;
        if !fails || self.afterwards {
            let answer = self.inner.exchange(access, request).await;
            if !fails {
                return answer;
            }
        }
        let host = "127.0.0.1".parse().unwrap();
        let destination = Destination { scheme: Scheme::Http, host, port: 1 };
        Err(EgressError::Broken { destination, reason: "on purpose".to_owned() })
    }
}

#[tokio::test]
async fn a_use_of_the_network_that_fails_or_of_which_nobody_hears() {
    for afterwards in [false, true] {
        for fails_at in 0..6 {
            let stage = Stage::new();
            let first =
                stage.commit(&stage.request("1", &[("a", "1\n"), ("b", "1\n")])).await.unwrap();
            stage.pushed_by_jane("others", &[("x", Some("y\n"))]);
            let egress: Arc<dyn Egress> = Arc::new(Failing {
                inner: stage.egress.clone(),
                uses: AtomicUsize::new(0),
                fails_at,
                afterwards,
            });
            let request = after(&first, stage.request("2", &[("a", "2\n"), ("b", "1\n")]));
            let done = us(&egress).commit(&request, &CallLog::default()).await.unwrap();
            assert!(done.changed, "{fails_at} {afterwards}");
            assert_eq!(stage.bare(&["rev-parse", "main"]), done.commit.0);
            assert_eq!((stage.made_by("2"), stage.content("a")), (1, "2".to_owned()));
            stage.sound();
        }
    }
}

#[tokio::test]
async fn whoever_asked_may_go_and_come_back() {
    let stage = Stage::new();
    let request = stage.request("1", &[("a", "1\n")]);
    {
        let asking = stage.commit(&request);
        // Long enough to begin, and given up then.
        let mut asking = std::pin::pin!(asking);
        let _ = futures::poll!(&mut asking);
        tokio::task::yield_now().await;
    }
    let mut again = request.clone();
    again.again = true;
    let done = stage.commit(&again).await.unwrap();
    assert!(done.changed);
    assert_eq!(stage.made_by("1"), 1);
}
