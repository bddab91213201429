//! Every limit that a plugin lives under, with its reason.
//!
//! An operator changes some of them for one plugin ([`LimitOverrides`]); a
//! plugin changes none.

use std::time::Duration;

use deployd_core::config::{LimitOverrides, PluginKind};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// What is loaded.

/// The largest component. JavaScript and Python runtimes inside a component
/// take 13 and 18 MiB.
pub const COMPONENT_BYTES: usize = 32 * MIB;
/// The largest `plugin.toml`: nobody reads more, and its schema is compiled.
pub const MANIFEST_BYTES: usize = 256 * KIB;
/// How long compiling may take. A JavaScript runtime takes ten seconds on one
/// core; whatever takes minutes was made to.
pub const COMPILE_TIME: Duration = Duration::from_secs(180);
/// Processor time of a compilation in a process of its own: a JavaScript runtime
/// takes some twenty seconds, a Python runtime some forty.
pub const COMPILE_CPU: Duration = Duration::from_secs(120);
/// Address space of such a process, beside what it starts with. A JavaScript
/// runtime takes about one GiB with two threads.
pub const COMPILE_MEMORY_BYTES: usize = 2048 * MIB;
/// Core modules inside one component. Adapters and shims make a handful; each
/// costs the compiler a fixed price.
pub const CORE_MODULES: usize = 64;

// What a call may use.

/// Linear memory of all memories of a call together: enough for any document
/// that fits the other limits, and times [`CALLS`] still less than a small machine has.
pub const MEMORY_BYTES: usize = 64 * MIB;
/// The most memory that an operator can give, as in the schema of grants.
pub const MEMORY_BYTES_MAX: usize = 1024 * MIB;
/// Elements of all tables together: a Python runtime has about ten thousand functions.
pub const TABLE_ELEMENTS: usize = 40_000;
/// Core instances of a call: a component from a toolchain has less than ten.
pub const INSTANCES: usize = 32;
/// Tables of a call, one per core instance at most.
pub const TABLES: usize = 32;
/// Memories of a call: one, and one for each adapter.
pub const MEMORIES: usize = 8;
/// Stack of a guest: wasmtime's own figure, for several thousand frames.
pub const STACK_BYTES: usize = 512 * KIB;
/// Stack of the fiber that a call runs on: the guest's and what host functions need.
pub const FIBER_STACK_BYTES: usize = 2 * MIB;
/// Processor time to make an instance, before the call. Runtimes are
/// initialised when they are built, so instances begin fast.
pub const INSTANTIATE_CPU: Duration = Duration::from_secs(1);
/// Processor time of a call.
pub const CALL_CPU: Duration = Duration::from_secs(2);
/// Time by the clock of a driver's or a check's call, waiting for the host
/// included. What takes longer returns `pending`.
pub const DRIVER_WALL: Duration = Duration::from_secs(30);
/// Time by the clock of a call to a pure plugin, which has nothing to wait for
/// but a processor.
pub const PURE_WALL: Duration = Duration::from_secs(10);
/// Time by the clock of one call from a plugin into the host.
pub const HOST_CALL_WALL: Duration = Duration::from_secs(10);
/// What is left of a call when nothing of the host is waited for any more: time
/// for a guest to say what it did not get, in a fault of its own. A server that is
/// slow is then no strike against who asks it.
pub const ANSWER_MARGIN: Duration = Duration::from_secs(2);
/// How often the epoch goes on: the time that a guest can hold a thread for.
pub const TICK: Duration = Duration::from_millis(10);
/// Calls of one plugin at the same time.
pub const PLUGIN_CALLS: usize = 4;
/// Calls of all plugins at the same time, of those that do not take long.
pub const CALLS: usize = 16;
/// Calls that take long at the same time, of all plugins. They share a few
/// threads, so that more of them would only wait for each other.
pub const SLOW_CALLS: usize = 8;
/// Processor time that makes a call a long one: more than any shipped plugin
/// takes, and half of what a call may hold a thread for.
pub const QUICK_CPU: Duration = Duration::from_millis(5);
/// How long a call that turns out to take long may wait for a place among
/// others of its kind. Meanwhile it has the place of a quick one.
pub const SLOW_PATIENCE: Duration = Duration::from_millis(100);
/// How much less than others a long call gets of a processor that both want: a
/// third less. With much less, calls on a crowded machine end by the clock before
/// they had their processor time.
pub const SLOW_NICE: i32 = 2;

// What crosses the border.

/// Bytes that a guest may hand over in one call to the host, or as a result:
/// twice [`RESULT_BYTES`], so that the sentence about those is the one a
/// plugin's author sees.
pub const HOSTCALL_BYTES: usize = 8 * MIB;
/// All texts of a result together. Manifests of a large application are a few
/// hundred KiB, and a cluster takes 1.5 MiB per object.
pub const RESULT_BYTES: usize = 4 * MIB;
/// Nesting of a document. Kubernetes' deepest own type has 20 levels, schemas of
/// custom resources have some 60; the parser's own limit is 128.
pub const DOCUMENT_DEPTH: usize = 96;
/// Manifests of one result.
pub const MANIFESTS: usize = 1000;
/// Lines of a driver's preview.
pub const SUMMARY_LINES: usize = 200;
/// Secret outputs of a resource.
pub const SECRET_OUTPUTS: usize = 64;
/// Requests that a notifier makes of one event.
pub const NOTIFIER_REQUESTS: usize = 16;
/// Headers of one such request.
pub const NOTIFIER_HEADERS: usize = 64;
/// What a notifier remembers of a thread: it is recorded with each message of it.
/// Ids of what it has made elsewhere take some hundred bytes.
pub const NOTIFIER_MEMORY_BYTES: usize = 4 * KIB;
/// Documents of one delivery: a registry tells of a push of many tags at once, and
/// as many artifacts are announced together.
pub const RECEIVED_DOCUMENTS: usize = 100;
/// Violations of one evaluation: a dozen for each of the most rules that the shipped
/// policy takes. The deployment's record keeps fewer.
pub const VIOLATIONS: usize = 1000;
/// A strategy's state: it is recorded with every decision.
pub const STRATEGY_STATE_BYTES: usize = 64 * KIB;
/// A driver's state: it is recorded with the resource, and stands in the
/// environment's projection. Identifiers and addresses take a few hundred bytes.
pub const DRIVER_STATE_BYTES: usize = 256 * KIB;
/// A driver's outputs: they stand beside its state.
pub const OUTPUTS_BYTES: usize = 256 * KIB;
/// What a driver wants handed back while it works.
pub const TOKEN_BYTES: usize = 64 * KIB;
/// What a check wants handed back while it waits: it is recorded with the
/// progress of all checks of a step.
pub const CHECK_TOKEN_BYTES: usize = 4 * KIB;
/// Measurements of one verdict: what a person reads in a table.
pub const MEASUREMENTS: usize = 32;
/// A message for a person: longer ones are cut.
pub const MESSAGE_BYTES: usize = 4 * KIB;
/// Field faults of one answer: nobody reads more.
pub const FIELD_FAULTS: usize = 100;
/// Handles that a guest holds at the same time.
pub const HANDLES: usize = 1024;
/// Connections that a call may ask for: a driver speaks to one server, and once
/// more when the first did not answer; a name server's peers are a handful.
pub const NET_CONNECTIONS: usize = 16;
/// Bytes of one connection in each direction, TLS included: what a call could
/// keep in its memory, and no transfer of files.
pub const NET_STREAM_BYTES: u64 = 64 * 1024 * 1024;
/// HTTP requests that a call may make: lists of APIs have pages, of a hundred
/// things each, and what has more pages returns `pending`.
pub const HTTP_REQUESTS: usize = 64;
/// Requests of a call that are under way at the same time; more wait for them.
pub const HTTP_AT_ONCE: usize = 4;
/// The body of a request or of an answer: as much as a result may have.
pub const HTTP_BODY_BYTES: usize = RESULT_BYTES;
/// Bodies of all requests and answers of a call together: they are in the
/// host's memory until the guest has taken them.
pub const HTTP_BYTES: usize = 32 * MIB;
/// What a guest may write to a body at once; twice as much waits for each body.
pub const HTTP_CHUNK_BYTES: usize = 16 * KIB;
/// All header fields of a request or of an answer together: twice what most
/// servers take.
pub const HTTP_FIELDS_BYTES: usize = 32 * KIB;
/// Random bytes per request of a guest.
pub const RANDOM_BYTES: u64 = 64 * 1024;
/// The longest alphabet of a generated secret, in characters.
pub const ALPHABET_CHARACTERS: usize = 256;
/// Lines of a call's log.
pub const LOG_LINES: usize = 1000;
/// One line of a log: longer ones are cut.
pub const LOG_LINE_BYTES: usize = 8 * KIB;
/// All lines of a call together: they are kept with the step's record.
pub const LOG_BYTES: usize = 256 * KIB;

// What a plugin that misbehaves meets.

/// Strikes in a row that quarantine a plugin.
pub const STRIKES: u32 = 3;
/// How long the first quarantine lasts; each further one is twice as long.
pub const QUARANTINE: Duration = Duration::from_secs(30);
/// The longest quarantine.
pub const QUARANTINE_MAX: Duration = Duration::from_secs(600);

/// The limits of one plugin's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Processor time of a call.
    pub cpu: Duration,
    /// Time of a call by the clock.
    pub wall: Duration,
    /// Calls at the same time.
    pub concurrency: usize,
}

impl Limits {
    /// The host's own, with what the operator changed.
    pub fn of(kind: PluginKind, overrides: &LimitOverrides) -> Self {
        let wall = if is_pure(kind) { PURE_WALL } else { DRIVER_WALL };
        let milliseconds = |ms: Option<u32>, otherwise| {
            ms.map_or(otherwise, |ms| Duration::from_millis(u64::from(ms.max(1))))
        };
        let count = |count: Option<u32>, otherwise: usize| {
            count.map_or(otherwise, |count| usize::try_from(count.max(1)).unwrap_or(otherwise))
        };
        Self {
            memory_bytes: overrides
                .memory_mib
                .map_or(MEMORY_BYTES, |mib| mebibytes(mib).clamp(MIB, MEMORY_BYTES_MAX)),
            cpu: milliseconds(overrides.cpu_ms, CALL_CPU),
            wall: milliseconds(overrides.wall_ms, wall),
            concurrency: count(overrides.concurrency, PLUGIN_CALLS),
        }
    }
}

impl Limits {
    /// How long after its start a call waits for the host at most. Where there is
    /// little time at all, a quarter of it is for the answer.
    pub(crate) fn waits(&self) -> Duration {
        self.wall.saturating_sub(ANSWER_MARGIN.min(self.wall / 4))
    }
}

/// Whether plugins of a kind decide by their input alone.
pub fn is_pure(kind: PluginKind) -> bool {
    !matches!(kind, PluginKind::Driver | PluginKind::Check)
}

/// Bytes of so many MiB.
pub(crate) fn mebibytes(mib: u32) -> usize {
    usize::try_from(mib).unwrap_or(usize::MAX).saturating_mul(MIB)
}

/// A number of bytes for people.
pub(crate) fn bytes_text(bytes: usize) -> String {
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else if bytes >= KIB && bytes.is_multiple_of(KIB) {
        format!("{} KiB", bytes / KIB)
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_changes_limits_within_bounds() {
        let overrides =
            LimitOverrides { memory_mib: Some(4096), cpu_ms: Some(0), ..Default::default() };
        let limits = Limits::of(PluginKind::Templater, &overrides);
        assert_eq!(limits.memory_bytes, MEMORY_BYTES_MAX);
        assert_eq!(limits.cpu, Duration::from_millis(1));
        assert_eq!(limits.wall, PURE_WALL);
        assert_eq!(Limits::of(PluginKind::Driver, &LimitOverrides::default()).wall, DRIVER_WALL);
    }

    #[test]
    fn the_parser_takes_every_depth_that_we_do() {
        let text = format!("{}1{}", "[".repeat(DOCUMENT_DEPTH), "]".repeat(DOCUMENT_DEPTH));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
