//! `deployd:host/net`: byte streams to hosts that the grant names, with TLS done
//! by the host. Each use stands in the log of its call.

use std::sync::Arc;
use std::time::Duration;

use deployd_core::FaultClass;
use deployd_core::config::HostGrant;
use deployd_core::ports::{
    Access, Connection, Egress, EgressError, EgressLimits, Security, TlsOptions, Use, Uses,
};
use tokio::time::Instant;
use wasmtime::component::{Resource, ResourceTableError};

use crate::bindings::host_v0_1::deployd::host::net;
use crate::bindings::host_v0_1::deployd::types::types as wit;
use crate::limits;
use crate::record::{CallRecord, LimitHit};
use crate::store::CallState;

/// What a call may do with the network.
pub(crate) struct NetAccess {
    /// The way out; none where the host was made without.
    egress: Option<Arc<dyn Egress>>,
    access: Access,
    /// When nothing is waited for any more, of all uses together.
    ends: Instant,
    /// Connections that were asked for, also in vain.
    asked: usize,
}

/// A byte stream that a guest has opened.
#[expect(unreachable_pub, reason = "the generated bindings name it in public")]
pub struct OpenConnection(Box<dyn Connection>);

impl NetAccess {
    pub(crate) fn new(
        egress: Option<Arc<dyn Egress>>,
        grants: Arc<[HostGrant]>,
        ends: Instant,
        record: Arc<CallRecord>,
    ) -> Self {
        let limits = EgressLimits {
            resolve: limits::HOST_CALL_WALL,
            connect: limits::HOST_CALL_WALL,
            tls: limits::HOST_CALL_WALL,
            answer: limits::HOST_CALL_WALL,
            idle: limits::HOST_CALL_WALL,
            // What is left of the call, when one is made.
            total: Duration::ZERO,
            stream_bytes: limits::NET_STREAM_BYTES,
            body_bytes: limits::RESULT_BYTES,
        };
        let access = Access { grants, limits, uses: Arc::new(OnCall(record)) };
        Self { egress, access, ends, asked: 0 }
    }

    /// The way out, what of it this call may use, and until when.
    pub(crate) fn shared(&self) -> (Option<Arc<dyn Egress>>, Access, Instant) {
        (self.egress.clone(), self.access.clone(), self.ends)
    }

    async fn connect(
        &mut self,
        host: &str,
        port: u16,
        security: net::Security,
    ) -> Result<OpenConnection, wit::Fault> {
        let Some(egress) = &self.egress else {
            return Err(wit::Fault::Unsupported("this host has no network".to_owned()));
        };
        self.asked += 1;
        if self.asked > limits::NET_CONNECTIONS {
            return Err(wit::Fault::Denied(format!(
                "a call may open {} connections",
                limits::NET_CONNECTIONS
            )));
        }
        let security = match security {
            net::Security::Plaintext => Security::Plaintext,
            net::Security::Tls(options) => Security::Tls(from_wit(options)),
        };
        let access = until(&self.access, self.ends);
        let connecting = egress.connect(&access, host, port, &security);
        in_time(self.ends, connecting).await.map(OpenConnection)
    }
}

/// The access of what is begun now: a stream does not outlive its call.
pub(crate) fn until(access: &Access, ends: Instant) -> Access {
    let mut access = access.clone();
    access.limits.total = ends.saturating_duration_since(Instant::now());
    access
}

/// What a call waits for. When its time is over, it hears so while it still can
/// do something about it.
async fn in_time<T>(
    ends: Instant,
    waiting: impl Future<Output = Result<T, EgressError>>,
) -> Result<T, wit::Fault> {
    match tokio::time::timeout_at(ends, waiting).await {
        Ok(outcome) => outcome.map_err(fault),
        Err(_) => {
            Err(wit::Fault::Unavailable(wit::Retry { message: OVER.to_owned(), after_ms: None }))
        }
    }
}

/// Why nothing is waited for any more.
pub(crate) const OVER: &str = "the time of this call is over, and the other side was not done";

/// Notes each use in the log of the call.
struct OnCall(Arc<CallRecord>);

impl Uses for OnCall {
    fn record(&self, used: Use) {
        self.0.connected(used.to_string());
    }
}

impl net::Host for CallState {}

impl net::HostConnection for CallState {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        security: net::Security,
    ) -> wasmtime::Result<Result<Resource<OpenConnection>, wit::Fault>> {
        let open = match self.net.connect(&host, port, security).await {
            Ok(open) => open,
            Err(fault) => return Ok(Err(fault)),
        };
        match self.table.push(open) {
            Ok(handle) => Ok(Ok(handle)),
            Err(error) => {
                if matches!(error, ResourceTableError::Full) {
                    self.record.hit(LimitHit::Handles);
                }
                Err(error.into())
            }
        }
    }

    async fn start_tls(
        &mut self,
        handle: Resource<OpenConnection>,
        options: net::TlsOptions,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        let open = self.table.get_mut(&handle)?;
        Ok(in_time(self.net.ends, open.0.start_tls(&from_wit(options))).await)
    }

    async fn read(
        &mut self,
        handle: Resource<OpenConnection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::Fault>> {
        let open = self.table.get_mut(&handle)?;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(in_time(self.net.ends, open.0.read(max)).await)
    }

    async fn write(
        &mut self,
        handle: Resource<OpenConnection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        let open = self.table.get_mut(&handle)?;
        Ok(in_time(self.net.ends, open.0.write(&bytes)).await)
    }

    async fn drop(&mut self, handle: Resource<OpenConnection>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn from_wit(options: net::TlsOptions) -> TlsOptions {
    TlsOptions { server_name: options.server_name }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn fault(error: EgressError) -> wit::Fault {
    let message = error.to_string();
    match error.class() {
        FaultClass::Invalid => {
            wit::Fault::Invalid(vec![wit::FieldFault { path: String::new(), message }])
        }
        FaultClass::Denied => wit::Fault::Denied(message),
        FaultClass::Conflict => wit::Fault::Conflict(message),
        FaultClass::Transient => wit::Fault::Unavailable(wit::Retry { message, after_ms: None }),
        FaultClass::Permanent | FaultClass::Bug => wit::Fault::Permanent(message),
    }
}
