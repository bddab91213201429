//! A granted byte stream as one that libraries read and write at the same time.

use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::ports::{Connection, EgressError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// What is carried at once: a packet of SSH.
const PART_BYTES: usize = 32 * 1024;
/// What waits on the way.
const WAITING_BYTES: usize = 64 * 1024;

/// Why a stream ended that is carried: none when it was closed in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Option<EgressError>>>);

impl Ending {
    /// The failure, once.
    pub(super) fn take(&self) -> Option<EgressError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: EgressError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Carries a stream until either side ends it.
pub(super) fn carry(connection: Box<dyn Connection>) -> (DuplexStream, Ending) {
    let (near, far) = tokio::io::duplex(WAITING_BYTES);
    let ending = Ending::default();
    let told = ending.clone();
    tokio::spawn(async move {
        if let Err(error) = pump(connection, far).await {
            told.set(error);
        }
    });
    (near, ending)
}

/// A read that is given up for a write loses nothing: it waits for bytes, and does not take
/// them before there are some.
async fn pump(mut connection: Box<dyn Connection>, far: DuplexStream) -> Result<(), EgressError> {
    enum Step {
        Read(Result<Vec<u8>, EgressError>),
        Write(std::io::Result<usize>),
    }
    let (mut from, mut to) = tokio::io::split(far);
    let mut part = vec![0; PART_BYTES];
    loop {
        let step = tokio::select! {
            read = connection.read(PART_BYTES) => Step::Read(read),
            wrote = from.read(&mut part) => Step::Write(wrote),
        };
        match step {
            Step::Read(read) => {
                let read = read?;
                // Whoever reads has gone, or nothing more comes.
                if read.is_empty() || to.write_all(&read).await.is_err() {
                    return Ok(());
                }
            }
            Step::Write(Ok(length)) if length > 0 => {
                connection.write(part.get(..length).unwrap_or_default()).await?;
            }
            Step::Write(_) => return Ok(()),
        }
    }
}
