//! What the parts of the tests have come to: counted, timed, and said again at
//! the end, where it is looked for.

use crate::watched;
use anyhow::bail;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Failures that are told again at the end; more are only named.
const RETOLD_MAX: usize = 8;

/// Lines that are told again of each: what a test says first is why it failed.
const LINES_MAX: usize = 30;

/// Characters of such a line: a failed comparison can be megabytes on one.
const LINE_MAX: usize = 400;

/// What a failed test has said.
struct Failure {
    test: String,
    lines: Vec<String>,
}

/// What has passed and failed so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    /// What did not end well.
    broken: Vec<String>,
    failures: Vec<Failure>,
    /// Whether the lines that come are a failed test's.
    in_failure: bool,
    took: Vec<(String, Duration)>,
    running: Option<(String, Instant)>,
}

impl Tally {
    /// Says what runs from now on, and how long what ran before it has taken.
    pub(crate) fn begin(&mut self, what: &str) {
        self.end();
        println!("\n== {what}");
        self.running = Some((what.to_owned(), Instant::now()));
    }

    fn end(&mut self) {
        if let Some((what, begun)) = self.running.take() {
            self.took.push((what, begun.elapsed()));
        }
    }

    /// Takes a line of the test runner: results are counted
    /// (`test result: ok. 3 passed; 0 failed; ...`), what failed tests have said
    /// is kept (below `---- NAME stdout ----`).
    fn line(&mut self, line: &str) {
        if let Some(test) = failed_test(line) {
            self.failures.push(Failure { test: test.to_owned(), lines: Vec::new() });
            self.in_failure = true;
        } else if line == "failures:" {
            self.in_failure = false;
        } else if let Some(result) = line.trim_start().strip_prefix("test result: ") {
            self.in_failure = false;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
        } else if self.in_failure
            && let Some(failure) = self.failures.last_mut()
            && failure.lines.len() < LINES_MAX
        {
            failure.lines.push(line.chars().take(LINE_MAX).collect());
        }
    }

    /// Runs tests: a program of them, or a command of cargo's. What they say is kept
    /// below the project's root.
    ///
    /// # Errors
    ///
    /// When they can't be run. That some fail is counted.
    pub(crate) fn tests(
        &mut self,
        root: &Path,
        what: &str,
        command: &mut Command,
    ) -> anyhow::Result<()> {
        println!("\n-- {what}");
        if !watched::run(command, &watched::kept(root, what), |line| self.line(line))? {
            self.broken.push(what.to_owned());
        }
        Ok(())
    }

    /// Counts something that is no test of cargo's.
    pub(crate) fn check(&mut self, what: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("error: {what}: {error:#}");
                self.failed += 1;
                self.broken.push(what.to_owned());
                let lines = vec![format!("{error:#}")];
                self.failures.push(Failure { test: what.to_owned(), lines });
            }
        }
    }

    /// Says how long each part has taken, what failed and why, and the counts.
    ///
    /// # Errors
    ///
    /// When anything has failed.
    pub(crate) fn report(mut self) -> anyhow::Result<()> {
        self.end();
        println!();
        for (what, took) in &self.took {
            println!("{:>5} s  {what}", took.as_secs());
        }
        for (place, failure) in self.failures.iter().enumerate() {
            println!("\nFAILED {}", failure.test);
            if place < RETOLD_MAX {
                failure.lines.iter().for_each(|line| println!("    {line}"));
            }
        }
        println!("\n{} passed, {} failed", self.passed, self.failed);
        if !self.broken.is_empty() {
            bail!("failed: {}", self.broken.join(", "));
        }
        Ok(())
    }
}

/// The number before a word.
fn count(result: &str, word: &str) -> u64 {
    let before = result.split(word).next().unwrap_or_default();
    before.trim_end().rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The test that what follows is about.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut tally = Tally::default();
        tally.line("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured");
        tally.line("test result: FAILED. 3 passed; 2 failed; 0 ignored");
        tally.line("running 3 tests");
        assert_eq!((tally.passed, tally.failed), (15, 2));
    }

    #[test]
    fn what_failed_is_kept_with_what_it_said() {
        let mut tally = Tally::default();
        let said = [
            "test disk::fills ... FAILED",
            "",
            "failures:",
            "",
            "---- disk::fills stdout ----",
            "thread panicked at disk.rs:3:",
            "no room",
            "",
            "failures:",
            "    disk::fills",
            "test result: FAILED. 0 passed; 1 failed",
        ];
        said.iter().for_each(|line| tally.line(line));
        let [failure] = tally.failures.as_slice() else { panic!("one failure") };
        assert_eq!(failure.test, "disk::fills");
        assert_eq!(failure.lines, ["thread panicked at disk.rs:3:", "no room", ""]);
        assert!(tally.report().is_ok(), "nobody said that the command failed");
    }
}
