//! Ends the process, as `kill -9` does, at a chosen write or effect, so that a
//! test can do so at every one of them. Only with the feature `crash-points`;
//! a daemon that people run has none of this.
//!
//! `DEPLOYD_CRASH_AT` is `write:N:before`, `write:N:after`, `effect:N:before` or
//! `effect:N:after`; N counts from 1 since the start of the process.
//! `DEPLOYD_EFFECT_LOG` names a file that gets a line per effect that was begun:
//! its name and its idempotency key.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use deployd_core::drift::ObjectCheck;
use deployd_core::journal::{EventRecord, Head, StreamId, Version};
use deployd_core::outbox::{Message, MessageId, MessageStatus};
use deployd_core::ports::{
    Accepted, Answer, Applier, ApplyRequest, Batch, BlobId, Branch, Call, CallLog, Claim, Cluster,
    CommitRequest, Committed, DriverPlan, DriverRequest, Drivers, FeedItem, FeedPosition, FilesAt,
    Forge, Forges, IdempotencyKey, Index, KeyRange, LogLines, ObjectRef, ObservedWorkload, Order,
    Outgoing, Page, Progress, Proposal, Provisioned, PullRequest, Readiness, Removal, Repositories,
    Revision, Sender, SensitiveObjects, Snapshot, Store, StoreError, Target, VerifyReport,
    WorkerId, WorkloadFault,
};
use deployd_core::{Digest, Fault, Timestamp};
use deployd_engine::Ports;
use serde_json::{Value, json};

static WRITES: AtomicU64 = AtomicU64::new(0);
static EFFECTS: AtomicU64 = AtomicU64::new(0);

/// Whether the process should end at this place.
fn is_here(kind: &str, count: u64, side: &str) -> bool {
    std::env::var("DEPLOYD_CRASH_AT").is_ok_and(|at| at == format!("{kind}:{count}:{side}"))
}

fn end_if(kind: &str, count: u64, side: &str) {
    if is_here(kind, count, side) {
        let own = rustix::process::getpid();
        // SIGKILL to oneself does not come back.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

async fn write<T>(work: impl Future<Output = T>) -> T {
    let count = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
    end_if("write", count, "before");
    let result = work.await;
    end_if("write", count, "after");
    result
}

async fn effect<T>(name: &str, key: &str, work: impl Future<Output = T>) -> T {
    let count = EFFECTS.fetch_add(1, Ordering::SeqCst) + 1;
    note(name, key);
    end_if("effect", count, "before");
    let result = work.await;
    end_if("effect", count, "after");
    result
}

fn note(name: &str, key: &str) {
    let Ok(path) = std::env::var("DEPLOYD_EFFECT_LOG") else { return };
    let line = format!("{}\n", json!({"effect": name, "key": key}));
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        tracing::error!(%error, "the log of effects can't be written");
    }
}

/// The store, with places to end at.
pub(crate) fn store(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Crashing(inner))
}

/// The ports, with places to end at.
pub(crate) fn effects(ports: Ports) -> Ports {
    Ports {
        drivers: Arc::new(Crashing(ports.drivers)),
        cluster: Arc::new(Crashing(ports.cluster)),
        repositories: Arc::new(Crashing(ports.repositories)),
        forges: Arc::new(Crashing(ports.forges)),
        sender: Arc::new(Crashing(ports.sender)),
        ..ports
    }
}

struct Crashing<T: ?Sized>(Arc<T>);

#[async_trait]
impl Drivers for Crashing<dyn Drivers> {
    async fn plan(&self, call: Call<'_>, request: &DriverRequest) -> Result<DriverPlan, Fault> {
        self.0.plan(call, request).await
    }

    async fn provision(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Progress<Provisioned>, Fault> {
        let name = format!("provision {}#{}", request.resource_type, request.id);
        effect(&name, &request.idempotency_key, self.0.provision(call, request, token)).await
    }

    async fn foresee(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Provisioned>, Fault> {
        self.0.foresee(call, request).await
    }

    async fn observe(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
    ) -> Result<Option<Value>, Fault> {
        self.0.observe(call, request).await
    }

    async fn destroy(
        &self,
        call: Call<'_>,
        request: &DriverRequest,
        token: Option<&str>,
    ) -> Result<Removal, Fault> {
        let name = format!("destroy {}#{}", request.resource_type, request.id);
        effect(&name, &request.idempotency_key, self.0.destroy(call, request, token)).await
    }
}

#[async_trait]
impl Repositories for Crashing<dyn Repositories> {
    async fn commit(&self, request: &CommitRequest, log: &CallLog) -> Result<Committed, Fault> {
        effect("commit", &request.key, self.0.commit(request, log)).await
    }

    async fn files(
        &self,
        branch: &Branch,
        revision: &Revision,
        directory: &str,
        log: &CallLog,
    ) -> Result<FilesAt, Fault> {
        self.0.files(branch, revision, directory, log).await
    }

    async fn contents(
        &self,
        branch: &Branch,
        blobs: &[BlobId],
        bytes_max: usize,
        log: &CallLog,
    ) -> Result<BTreeMap<BlobId, Vec<u8>>, Fault> {
        self.0.contents(branch, blobs, bytes_max, log).await
    }

    async fn remove_branch(&self, branch: &Branch, log: &CallLog) -> Result<(), Fault> {
        effect("remove-branch", &branch.name, self.0.remove_branch(branch, log)).await
    }
}

#[async_trait]
impl Forges for Crashing<dyn Forges> {
    async fn propose(
        &self,
        forge: &Forge,
        proposal: &Proposal,
        log: &CallLog,
    ) -> Result<PullRequest, Fault> {
        effect("propose", &proposal.from, self.0.propose(forge, proposal, log)).await
    }

    async fn look(&self, forge: &Forge, number: u64, log: &CallLog) -> Result<PullRequest, Fault> {
        self.0.look(forge, number, log).await
    }

    async fn close(
        &self,
        forge: &Forge,
        number: u64,
        comment: &str,
        log: &CallLog,
    ) -> Result<PullRequest, Fault> {
        effect("close-request", "", self.0.close(forge, number, comment, log)).await
    }
}

#[async_trait]
impl Cluster for Crashing<dyn Cluster> {
    async fn apply(&self, request: &ApplyRequest, log: &CallLog) -> Result<Vec<ObjectRef>, Fault> {
        effect("apply", "", self.0.apply(request, log)).await
    }

    async fn await_ready(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        deadline_ms: u64,
        log: &CallLog,
    ) -> Result<Readiness, Fault> {
        effect("await-ready", "", self.0.await_ready(target, objects, deadline_ms, log)).await
    }

    // What only watches has no place to end at that nobody else has.
    async fn await_failure(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<WorkloadFault>, Fault> {
        self.0.await_failure(target, objects, log).await
    }

    async fn prune(
        &self,
        target: &Target,
        objects: &[ObjectRef],
        log: &CallLog,
    ) -> Result<Vec<ObjectRef>, Fault> {
        effect("prune", "", self.0.prune(target, objects, log)).await
    }

    async fn compare(
        &self,
        target: &Target,
        objects: &SensitiveObjects,
        applier: Applier,
        log: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault> {
        self.0.compare(target, objects, applier, log).await
    }

    async fn version(&self, target: &Target) -> Result<String, Fault> {
        self.0.version(target).await
    }

    async fn logs(
        &self,
        target: &Target,
        object: &ObjectRef,
        tail: usize,
    ) -> Result<Vec<LogLines>, Fault> {
        self.0.logs(target, object, tail).await
    }

    async fn observe(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<ObservedWorkload>>, Fault> {
        self.0.observe(target, objects).await
    }

    async fn read(
        &self,
        target: &Target,
        objects: &[ObjectRef],
    ) -> Result<Vec<Option<Value>>, Fault> {
        self.0.read(target, objects).await
    }

    async fn snapshot(&self, target: &Target, objects: &[ObjectRef]) -> Result<Snapshot, Fault> {
        self.0.snapshot(target, objects).await
    }
}

#[async_trait]
impl Sender for Crashing<dyn Sender> {
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault> {
        let id = request.headers.iter().find(|(name, _)| name == "webhook-id");
        let key = id.map(|(_, value)| value.clone()).unwrap_or_default();
        effect("send", &key, self.0.send(request)).await
    }
}

#[async_trait]
impl Store for Crashing<dyn Store> {
    async fn accept(
        &self,
        key: IdempotencyKey,
        digest: Digest,
        answer: Vec<u8>,
        now: Timestamp,
        batch: Batch,
    ) -> Result<Accepted, StoreError> {
        write(self.0.accept(key, digest, answer, now, batch)).await
    }

    async fn accepted(
        &self,
        key: IdempotencyKey,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.accepted(key, digest).await
    }

    async fn append(&self, batch: Batch) -> Result<Vec<Head>, StoreError> {
        write(self.0.append(batch)).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Head, StoreError> {
        self.0.head(stream).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        from: Version,
        max: usize,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.0.read(stream, from, max).await
    }

    async fn get(&self, index: Index, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(index, key).await
    }

    async fn scan(
        &self,
        index: Index,
        range: KeyRange,
        order: Order,
        max: usize,
    ) -> Result<Page, StoreError> {
        self.0.scan(index, range, order, max).await
    }

    async fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.object(digest).await
    }

    async fn feed(&self, after: FeedPosition, max: usize) -> Result<Vec<FeedItem>, StoreError> {
        self.0.feed(after, max).await
    }

    async fn feed_grown(&self, after: FeedPosition) -> Result<FeedPosition, StoreError> {
        self.0.feed_grown(after).await
    }

    async fn claim(
        &self,
        stream: &StreamId,
        worker: &WorkerId,
        now: Timestamp,
        ttl_ms: u64,
    ) -> Result<Claim, StoreError> {
        write(self.0.claim(stream, worker, now, ttl_ms)).await
    }

    async fn release(&self, claim: Claim) -> Result<(), StoreError> {
        write(self.0.release(claim)).await
    }

    async fn outbox_take(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.0.outbox_take(now, lease_until, max).await
    }

    async fn outbox_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.0.outbox_due().await
    }

    async fn outbox_settle(&self, message: Message) -> Result<(), StoreError> {
        write(self.0.outbox_settle(message)).await
    }

    async fn outbox_get(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        self.0.outbox_get(id).await
    }

    async fn outbox_list(
        &self,
        status: Option<MessageStatus>,
        after: Option<MessageId>,
        max: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.0.outbox_list(status, after, max).await
    }

    async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.0.verify().await
    }

    async fn backup(&self, to: &std::path::Path) -> Result<(), StoreError> {
        self.0.backup(to).await
    }
}
