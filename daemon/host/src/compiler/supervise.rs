//! The supervisor: one worker per component.

use std::io::{self, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::{Answer, Exhausted, Question, read_line, standard_input, write_line};

/// How much of a component is handed on at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Answers questions until there are no more: the daemon has ended. `worker`
/// is to make a command that calls [`super::work`].
pub fn supervise(worker: impl Fn() -> Command) -> io::Result<()> {
    // Also when the daemon ends in the middle of a compilation.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let stream = standard_input()?;
    let mut questions = BufReader::new(stream.try_clone()?);
    while let Some(question) = read_line::<Question>(&mut questions)? {
        let answer = one(&question, worker(), &mut questions)?;
        write_line(&stream, &answer)?;
    }
    Ok(())
}

/// Has one component compiled. Fails when the daemon is gone; whatever happens
/// to the worker is an answer.
fn one(
    question: &Question,
    mut worker: Command,
    questions: &mut BufReader<UnixStream>,
) -> io::Result<Answer> {
    let (ours, theirs) = UnixStream::pair()?;
    let started = worker.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).spawn();
    // The command holds the worker's end of the socket.
    drop(worker);
    let mut worker = match started {
        Ok(worker) => Some(worker),
        Err(error) => {
            hand_on(question, questions, None)?;
            return Ok(Answer::Failed(format!("the compiler can't be started: {error}")));
        }
    };
    hand_on(question, questions, Some(&ours))?;
    let heard = hear(&ours, question);
    let ended = worker.as_mut().map(end).transpose()?;
    Ok(heard.unwrap_or_else(|| why(question, ended)))
}

/// Hands the question and the component on, all of it, also when the worker has
/// ended: the next question comes after it.
fn hand_on(
    question: &Question,
    questions: &mut BufReader<UnixStream>,
    worker: Option<&UnixStream>,
) -> io::Result<()> {
    let mut worker = worker.filter(|worker| write_line(*worker, question).is_ok());
    let mut left = question.bytes;
    let mut piece = vec![0; PIECE_BYTES];
    while left > 0 {
        let wanted = left.min(PIECE_BYTES);
        let Some(piece) = piece.get_mut(..wanted) else { break };
        questions.read_exact(piece)?;
        left -= wanted;
        worker = worker.filter(|worker| (&mut &**worker).write_all(piece).is_ok());
    }
    Ok(())
}

/// The worker's answer, if it gives one in time.
fn hear(worker: &UnixStream, question: &Question) -> Option<Answer> {
    let wall = Duration::from_millis(question.wall_ms.max(1));
    worker.set_read_timeout(Some(wall)).ok()?;
    match read_line(&mut BufReader::new(worker)) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Some(Answer::Exhausted(Exhausted::Time(question.wall_ms)))
        }
        Err(_) => None,
    }
}

/// Ends a worker that has answered, or has not in time.
fn end(worker: &mut Child) -> io::Result<ExitStatus> {
    if let Some(status) = worker.try_wait()? {
        return Ok(status);
    }
    // What it has left to do is to end.
    worker.kill()?;
    worker.wait()
}

/// Why there is no answer.
fn why(question: &Question, ended: Option<ExitStatus>) -> Answer {
    let signal = ended.and_then(|status| status.signal());
    let is = |wanted: Signal| signal == Some(wanted.as_raw());
    if is(Signal::XCPU) {
        Answer::Exhausted(Exhausted::Cpu(question.cpu_seconds))
    } else if is(Signal::ABORT) || is(Signal::SEGV) {
        // Rust aborts when memory or stack are used up.
        Answer::Exhausted(Exhausted::Memory(question.memory_bytes))
    } else {
        let how = ended.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        Answer::Failed(format!("the compiler has ended without an answer ({how})"))
    }
}
