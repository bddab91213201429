//! Runs a program of tests, shows how far it is, and keeps what it says in a file:
//! tests of what goes wrong say much about panics and errors even when they pass, and
//! what has failed is not to be looked for among that.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How often it is said how far a program is, where nobody sees a bar.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// How often the bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Lines that wait to be looked at.
const LINES_WAITING: usize = 1_024;

/// Bytes of what a program that failed has said that are shown, from the end; the file
/// has everything.
const SHOWN_MAX: usize = 1024 * 1024;

/// How far a program of tests is, as its lines tell.
#[derive(Default)]
struct Reached {
    of: u64,
    done: u64,
}

impl Reached {
    /// Takes a line (`running 12 tests`, `test disk::fills ... ok`).
    fn line(&mut self, line: &str) {
        if let Some(running) = line.strip_prefix("running ") {
            let number = running.split(' ').next().and_then(|number| number.parse::<u64>().ok());
            self.of += number.unwrap_or(0);
        } else if outcome(line).is_some() {
            self.done += 1;
        }
    }
}

/// What has become of a test, if a line says so.
fn outcome(line: &str) -> Option<&str> {
    line.strip_prefix("test ").and_then(|rest| Some(rest.split_once(" ... ")?.1))
}

/// Runs a program, or a command of cargo's, to the end and hands on each line of its
/// standard output. Results and failed tests are shown as they come, everything when it
/// does not succeed; all is kept in the file that is given. Returns whether it has
/// succeeded.
///
/// # Errors
///
/// When it can't be run, or what it says not be kept.
pub(crate) fn run(
    command: &mut Command,
    kept: &Path,
    mut each: impl FnMut(&str),
) -> anyhow::Result<bool> {
    let keeping = || format!("{} can't be written", kept.display());
    fs::create_dir_all(kept.parent().unwrap_or(kept)).with_context(keeping)?;
    File::create(kept).with_context(keeping)?;
    // Both append, so that neither writes over the other.
    let mut all = OpenOptions::new().append(true).open(kept).with_context(keeping)?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(all.try_clone().with_context(keeping)?)
        .spawn()
        .with_context(|| format!("{command:?} can't be run"))?;
    let output = child.stdout.take().context("no standard output")?;
    let (sender, lines) = sync_channel(LINES_WAITING);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} tests, {elapsed} {msg}")?);
    let begun = Instant::now();
    let mut reached = Reached::default();
    let mut said = Duration::ZERO;
    loop {
        match lines.recv_timeout(DRAWN_EVERY) {
            Ok(line) => {
                let line = line?;
                writeln!(all, "{line}").with_context(keeping)?;
                reached.line(&line);
                each(&line);
                if line.starts_with("test result: ") || outcome(&line) == Some("FAILED") {
                    bar.suspend(|| println!("{line}"));
                } else if outcome(&line).is_some() {
                    bar.set_message(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        bar.set_length(reached.of);
        bar.set_position(reached.done);
        if bar.is_hidden() && begun.elapsed() > said + SAID_EVERY {
            said = begun.elapsed();
            println!("{} of {} after {} s", reached.done, reached.of, said.as_secs());
        }
    }
    bar.finish_and_clear();
    let _ = reader.join();
    let succeeded = child.wait()?.success();
    if !succeeded {
        show(kept)?;
    }
    Ok(succeeded)
}

/// Shows what a program has said.
fn show(kept: &Path) -> anyhow::Result<()> {
    let said = fs::read(kept).with_context(|| format!("{} can't be read", kept.display()))?;
    let end = said.get(said.len().saturating_sub(SHOWN_MAX)..).unwrap_or(&said);
    println!("{}", String::from_utf8_lossy(end));
    println!("-- kept in {}", kept.display());
    Ok(())
}

/// Where it is kept what a program has said.
pub(crate) fn kept(root: &Path, what: &str) -> PathBuf {
    let name: String =
        what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    root.join("target/test-logs").join(format!("{name}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    fn file(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("watched-{}-{name}", std::process::id()))
    }

    #[test]
    fn lines_are_handed_on_and_all_is_kept() {
        let kept = file("kept");
        let mut lines = Vec::new();
        let said = "echo running 1 test; echo aside >&2; echo 'test a ... ok'";
        let succeeded = run(&mut script(said), &kept, |line| lines.push(line.to_owned())).unwrap();
        assert!(succeeded);
        assert_eq!(lines, ["running 1 test", "test a ... ok"]);
        let all = fs::read_to_string(&kept).unwrap();
        fs::remove_file(kept).unwrap();
        let mut all: Vec<&str> = all.lines().collect();
        all.sort_unstable();
        assert_eq!(all, ["aside", "running 1 test", "test a ... ok"]);
    }

    #[test]
    fn what_fails_and_what_is_not_there_is_told() {
        let kept = file("failed");
        assert!(!run(&mut script("echo no; exit 3"), &kept, |_| ()).unwrap());
        let missing = run(&mut Command::new("/no/such/program"), &kept, |_| ());
        fs::remove_file(kept).unwrap();
        assert!(missing.unwrap_err().to_string().contains("/no/such/program"));
    }

    #[test]
    fn it_is_known_how_far_it_is() {
        let mut reached = Reached::default();
        for line in ["running 3 tests", "test a ... ok", "test b::c ... FAILED", "test result: x"] {
            reached.line(line);
        }
        assert_eq!((reached.done, reached.of), (2, 3));
    }
}
