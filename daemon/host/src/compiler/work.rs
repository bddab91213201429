//! The worker: compiles one component, and ends.

use std::io::{self, BufReader, Read as _};
use std::panic::AssertUnwindSafe;
use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal};
use wasmtime::component::Component;

use super::{Answer, Exhausted, Question, read_line, standard_input, write_line};
use crate::contract;
use crate::engine::Compiler;
use crate::failure::panic_text;
use crate::limits;

/// How much less than the daemon a compiler gets of a processor that both want.
const NICE: i32 = 5;
/// What one file of the cache may have; compiled code is a few times as large
/// as a component.
const FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// Compiles the component that it is asked for. `confine` takes away from the
/// process what a compiler does not need: all but the folder that it is given.
pub fn work(confine: impl FnOnce(&Path) -> Result<(), String>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let stream = standard_input()?;
    let mut questions = BufReader::new(stream.try_clone()?);
    let Some(question) = read_line::<Question>(&mut questions)? else { return Ok(()) };
    if question.bytes > limits::COMPONENT_BYTES {
        return write_line(&stream, &Answer::Failed("the component is too large".to_owned()));
    }
    let mut component = vec![0; question.bytes];
    questions.read_exact(&mut component)?;
    write_line(&stream, &compile(&question, &component, confine))
}

fn compile(
    question: &Question,
    component: &[u8],
    confine: impl FnOnce(&Path) -> Result<(), String>,
) -> Answer {
    // Before the limits: whether there are any decides how code is compiled.
    let compiler = match Compiler::for_worker(&question.state) {
        Ok(compiler) => compiler,
        Err(error) => return Answer::Failed(error.to_string()),
    };
    if let Err(error) = limit(question)
        .map_err(|error| error.to_string())
        .and_then(|()| confine(compiler.cache.directory()))
    {
        return Answer::Failed(format!("the compiler can't be confined: {error}"));
    }
    let surface = match surface(question, component) {
        Ok(surface) => surface,
        Err(error) => return Answer::Refused(error),
    };
    let compiled = std::panic::catch_unwind(AssertUnwindSafe(|| {
        Component::from_binary(&compiler.engine, component).map(drop)
    }));
    let error = match compiled {
        Ok(Ok(())) => return Answer::Compiled(surface),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => format!("the compiler panicked: {}", panic_text(&*panic)),
    };
    // The system's words where a mapping or a thread is refused.
    let words = ["Cannot allocate memory", "out of memory", "Resource temporarily unavailable"];
    if words.iter().any(|words| error.contains(words)) {
        Answer::Exhausted(Exhausted::Memory(question.memory_bytes))
    } else {
        Answer::Invalid(error)
    }
}

/// Everything that is cheaper than compiling.
fn surface(
    question: &Question,
    component: &[u8],
) -> Result<contract::Surface, contract::ContractError> {
    let surface = contract::validate(component)?;
    contract::find(question.kind, &surface)?.check_imports(&surface.imports)?;
    Ok(surface)
}

/// From here on, this process has so much and no more.
fn limit(question: &Question) -> io::Result<()> {
    rustix::process::nice(NICE)?;
    let limit = |resource, amount: u64| {
        let both = Rlimit { current: Some(amount), maximum: Some(amount) };
        rustix::process::setrlimit(resource, both)
    };
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, FILE_BYTES)?;
    // The first of the two says by its signal what is used up.
    let cpu = Rlimit {
        current: Some(question.cpu_seconds),
        maximum: Some(question.cpu_seconds.saturating_add(1)),
    };
    rustix::process::setrlimit(Resource::Cpu, cpu)?;
    let more = u64::try_from(question.memory_bytes).unwrap_or(u64::MAX);
    limit(Resource::As, address_space()?.saturating_add(more))?;
    Ok(())
}

/// Bytes of address space that this process has now.
fn address_space() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm
        .split_whitespace()
        .next()
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/statm is not as expected"))?;
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    Ok(pages.saturating_mul(page))
}
