//! Why a call did not come back with an answer, as a sentence that helps the
//! plugin's author or its operator.

use std::any::Any;

use deployd_core::Fault;
use serde_json::{Value, json};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use crate::limits::{self, Limits, bytes_text};
use crate::record::{CallRecord, LimitHit};

/// Frames of a backtrace that are kept: the mistake is near the top.
const FRAMES: usize = 12;

/// How a call can end without an answer.
pub(crate) enum Failure {
    /// It trapped, or a limit stopped it.
    Stopped(wasmtime::Error),
    /// Its time by the clock was over.
    TimedOut,
    /// The host itself panicked while it served the call.
    HostPanicked(Box<dyn Any + Send>),
}

impl Failure {
    /// The recorded form.
    pub(crate) fn fault(self, limits: &Limits, record: &CallRecord) -> Fault {
        match self {
            Self::TimedOut => Fault::bug(
                "plugin-timeout",
                format!(
                    "the call took longer than {} ms; work that takes long returns \
                     `pending`, and an operator can raise the limit with grant.limits.wallMs",
                    limits.wall.as_millis()
                ),
            ),
            Self::HostPanicked(panic) => Fault::bug(
                "plugin-host-panicked",
                format!("deployd itself failed while it ran the plugin: {}", panic_text(&*panic)),
            ),
            Self::Stopped(error) => {
                let fault = match record.limit_hit() {
                    Some(hit) => at_limit(hit, limits),
                    None => stopped(&error, record),
                };
                fault.with_detail(backtrace(&error))
            }
        }
    }
}

fn at_limit(hit: LimitHit, limits: &Limits) -> Fault {
    match hit {
        LimitHit::Memory(wanted) => Fault::bug(
            "plugin-out-of-memory",
            format!(
                "it wanted {wanted} bytes of memory, and may have {}; \
                 an operator can raise the limit with grant.limits.memoryMib",
                bytes_text(limits.memory_bytes)
            ),
        ),
        LimitHit::Table(wanted) => Fault::bug(
            "plugin-table-too-large",
            format!(
                "it wanted tables of {wanted} elements, and may have {}; \
                 this limit is the same for all plugins",
                limits::TABLE_ELEMENTS
            ),
        ),
        LimitHit::Cpu => Fault::bug(
            "plugin-cpu-exhausted",
            format!(
                "it used up its processor time ({} ms for a call, {} ms to be instantiated); \
                 an operator can raise the limit of calls with grant.limits.cpuMs",
                limits.cpu.as_millis(),
                limits::INSTANTIATE_CPU.as_millis()
            ),
        ),
        LimitHit::Handles => too_many_handles(),
    }
}

fn too_many_handles() -> Fault {
    Fault::bug(
        "plugin-too-many-handles",
        format!(
            "it holds more than {} handles at the same time; drop those not needed any more",
            limits::HANDLES
        ),
    )
}

fn stopped(error: &wasmtime::Error, record: &CallRecord) -> Fault {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return Fault::bug(
            "plugin-trapped",
            format!("it ended itself with exit status {status} instead of returning"),
        );
    }
    if error.downcast_ref::<FieldMapError>().is_some() {
        return Fault::bug(
            "plugin-too-many-fields",
            format!(
                "the header fields of an HTTP request may have {} together; \
                 this limit is the same for all plugins",
                bytes_text(limits::HTTP_FIELDS_BYTES)
            ),
        );
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Fault::bug(
            "plugin-stack-overflow",
            format!(
                "its calls nest deeper than a stack of {} holds: an endless recursion?",
                bytes_text(limits::STACK_BYTES)
            ),
        ),
        Some(trap) => Fault::bug(
            "plugin-trapped",
            meaning(*trap).map_or_else(|| trap.to_string(), str::to_owned),
        ),
        None => {
            // What a host function said stands at the root, below a backtrace;
            // what wasmtime says about types needs all its parts.
            let text = match error.downcast_ref::<WasmBacktrace>() {
                Some(_) => error.root_cause().to_string(),
                None => format!("{error:#}"),
            };
            untyped(text, record)
        }
    }
}

/// What a trap means to whoever wrote the plugin.
fn meaning(trap: Trap) -> Option<&'static str> {
    Some(match trap {
        Trap::UnreachableCodeReached => {
            "it panicked or aborted (`unreachable`); its log may say why"
        }
        Trap::MemoryOutOfBounds => {
            "it read or wrote outside of its memory: a bad pointer or length"
        }
        Trap::TableOutOfBounds => {
            "it called a function pointer that is none, or went beyond the end of a table"
        }
        Trap::IndirectCallToNull => "it called a function pointer that is null",
        Trap::BadSignature => "it called a function pointer as one of another type",
        Trap::IntegerDivisionByZero => "it divided by zero",
        Trap::IntegerOverflow => {
            "a division or a conversion has no result of its type: an integer overflow"
        }
        Trap::BadConversionToInteger => "it made an integer of what is no number (NaN)",
        Trap::CannotLeaveComponent => {
            "it called the host at a moment when it must not: from its allocator \
             or while it cleans up after a result"
        }
        _ => return None,
    })
}

/// Errors that wasmtime has no type for: tests notice when its words change.
fn untyped(text: String, record: &CallRecord) -> Fault {
    let has = |words: &str| text.contains(words);
    if has("fuel allocated for hostcalls has been exhausted") {
        return Fault::bug(
            "plugin-output-too-large",
            format!(
                "it handed over more than {} at once; \
                 this limit is the same for all plugins",
                bytes_text(limits::HOSTCALL_BYTES)
            ),
        );
    }
    let full =
        ["component handles", "store handle limit exceeded", "resource table has no free keys"];
    if full.into_iter().any(has) {
        return too_many_handles();
    }
    if has("resource limit exceeded") {
        return Fault::bug(
            "plugin-too-many-parts",
            format!(
                "it is made of too many parts ({text}); a plugin may have {} instances, \
                 {} tables and {} memories, and these limits are the same for all plugins",
                limits::INSTANCES,
                limits::TABLES,
                limits::MEMORIES
            ),
        );
    }
    let hint = if has("discriminant") {
        "what it handed over has no such case: was it built for another version of the contract?"
    } else if has("utf-8") {
        "what it handed over is no UTF-8"
    } else if has("not aligned") || has("unaligned") {
        "what it handed over is not aligned: a bad pointer"
    } else if has("out of bounds") || has("out-of-bounds") {
        "what it handed over lies outside of its memory: a bad pointer or length"
    } else if has("handle index") {
        "it used a handle that it does not have: never given, or dropped before"
    } else {
        return Fault::bug("plugin-trapped", record.message(text));
    };
    Fault::bug("plugin-trapped", format!("{hint} ({})", record.message(text)))
}

/// The names of the innermost functions, where the component has names.
fn backtrace(error: &wasmtime::Error) -> Value {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Value::Null };
    let names: Vec<String> = trace
        .frames()
        .iter()
        .take(FRAMES)
        .map(|frame| {
            frame.func_name().map_or_else(
                || format!("function {}", frame.func_index()),
                |name| crate::record::cut(name.to_owned(), 200),
            )
        })
        .collect();
    json!({ "backtrace": names })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}
