//! Compiling in a process of its own: bombs meet its limits, and the host goes on.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::{Grant, PluginKind};
use deployd_host::LoadError;
use deployd_host::compiler::{self, CompileLimits, Exhausted, Supervisor};

use crate::support::{Stage, component};

/// What this program is to be, when a test has started it.
const ROLE: &str = "DEPLOYD_TEST_ROLE";

/// This program, in a role: the test that follows is its main function.
fn role(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "compiler::in_another_process", "--nocapture"]).env(ROLE, role);
    command
}

/// Does nothing but in another process.
#[test]
fn in_another_process() {
    match std::env::var(ROLE).as_deref() {
        Ok("supervisor") => compiler::supervise(|| role("worker")).unwrap(),
        Ok("worker") => compiler::work(|_| Ok(())).unwrap(),
        Ok("dies") => {}
        _ => {}
    }
}

fn limits() -> CompileLimits {
    CompileLimits {
        memory_bytes: 512 * 1024 * 1024,
        cpu: Duration::from_secs(20),
        wall: Duration::from_secs(120),
    }
}

fn stage(limits: CompileLimits) -> Stage {
    let supervisor = Arc::new(Supervisor::start(role("supervisor"), limits).unwrap());
    let state = tempfile::tempdir().unwrap();
    Stage::with_compiler(state, Duration::from_secs(60), Some(supervisor))
}

#[tokio::test]
async fn what_another_process_compiled_is_called_here() {
    let stage = stage(limits());
    let first = stage.granted("good", &Grant::default()).await.unwrap();
    assert!(!first.from_cache);
    assert_eq!(stage.render(&first.plugin).await.code(), "done");
    // It is in the cache: this process has compiled nothing.
    let again = stage.granted("good", &Grant::default()).await.unwrap();
    assert!(again.from_cache);
    // And for a host that has no other process at all.
    let Stage { host, state, .. } = stage;
    drop(host);
    let stage = Stage::in_folder(state, Duration::from_secs(60));
    let again = stage.granted("good", &Grant::default()).await.unwrap();
    assert!(again.from_cache);
    assert_eq!(stage.render(&again.plugin).await.code(), "done");
}

#[tokio::test]
async fn refusals_come_back_as_they_are() {
    let stage = stage(limits());
    let grant = Grant::default();
    let refused = stage.granted("wrong-version", &grant).await.unwrap_err().to_string();
    assert!(refused.contains("it offers deployd:templater@0.2.0"), "{refused}");
    let refused =
        stage.register("x", b"hello", PluginKind::Templater, "", &grant).await.unwrap_err();
    assert!(matches!(refused, LoadError::Contract(_)), "{refused}");
    let refused = stage.granted("two-memories", &grant).await.unwrap_err().to_string();
    assert!(refused.contains("multiple memories"), "{refused}");
    // A large one is read to its end, so that the next is understood.
    let large = vec![0; 8 * 1024 * 1024];
    let refused = stage.register("x", &large, PluginKind::Templater, "", &grant).await.unwrap_err();
    assert!(matches!(refused, LoadError::Contract(_)), "{refused}");
    assert!(stage.granted("good", &grant).await.is_ok());
}

/// What is small to send and large to compile is refused with the limit that it
/// met, or compiled within the limits; the host is there all the while.
#[tokio::test]
async fn i14_bombs_are_refused_and_others_go_on() {
    let tight = CompileLimits {
        memory_bytes: 192 * 1024 * 1024,
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(60),
    };
    let stage = stage(tight);
    let good = stage.granted("good", &Grant::default()).await.unwrap().plugin;
    let mut exhausted = Vec::new();
    for (name, text) in fixtures::bombs::ALL {
        let bytes = fixtures::bombs::component(&text()).unwrap();
        let kind = PluginKind::Templater;
        let error = stage.register(name, &bytes, kind, "", &Grant::default()).await.unwrap_err();
        let said = error.to_string();
        match error {
            LoadError::CompileLimits(Exhausted::Memory(_)) => {
                assert!(said.contains("compiler.memory-mib"), "{said}");
                exhausted.push(*name);
            }
            LoadError::CompileLimits(Exhausted::Cpu(_)) => {
                assert!(said.contains("compiler.cpu-seconds"), "{said}");
                exhausted.push(*name);
            }
            LoadError::Contract(_) | LoadError::Compile(_) => {}
            // It was compiled: then its types are wrong, as they are to be.
            LoadError::Types { .. } | LoadError::Instance { .. } => {}
            other => panic!("{name}: {other}"),
        }
        eprintln!("{name}: {said}");
        assert_eq!(stage.render(&good).await.code(), "done", "after {name}");
    }
    assert!(!exhausted.is_empty(), "no bomb has met a limit");
}

#[tokio::test]
async fn a_limit_on_memory_is_met_and_named() {
    let stage = stage(CompileLimits { memory_bytes: 1024 * 1024, ..limits() });
    let bytes = component("good");
    let refused = stage
        .register("good", &bytes, PluginKind::Templater, "", &Grant::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, LoadError::CompileLimits(Exhausted::Memory(1_048_576))), "{refused}");
}

#[tokio::test]
async fn without_the_other_process_nothing_new_is_loaded_and_the_rest_runs() {
    let supervisor = Arc::new(Supervisor::start(role("dies"), limits()).unwrap());
    let state = tempfile::tempdir().unwrap();
    let stage = Stage::with_compiler(state, Duration::from_secs(60), Some(supervisor));
    let error = stage.granted("good", &Grant::default()).await.unwrap_err();
    assert!(matches!(error, LoadError::Compiler(_)), "{error}");
    assert!(error.to_string().contains("restart deployd"), "{error}");
}
