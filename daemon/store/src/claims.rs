//! Who may append to a stream.

use deployd_core::Timestamp;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Claim, Fence, StoreError, WorkerId};
use deployd_core::seeded::{Bug, seeded};
use redb::ReadableTable;

use crate::encode::{self, StoredClaim};
use crate::error::Failure;
use crate::tables::Tables;

fn stored(tables: &Tables<'_>, stream: &StreamId) -> Result<Option<StoredClaim>, Failure> {
    let Some(bytes) = tables.claims.get(stream.0.as_str())? else { return Ok(None) };
    Ok(Some(encode::from_json(&format!("the claim of stream {stream}"), bytes.value())?))
}

fn keep(tables: &mut Tables<'_>, stream: &StreamId, claim: &StoredClaim) -> Result<(), Failure> {
    let bytes = encode::to_json("a claim", claim)?;
    tables.claims.insert(stream.0.as_str(), bytes.as_slice())?;
    Ok(())
}

/// Refuses a fence that is not the stream's present one.
///
/// A claim that has expired, or was given back, still passes: as long as nobody
/// else has claimed the stream, nobody else can have acted on it.
pub(crate) fn check(
    tables: &Tables<'_>,
    stream: &StreamId,
    fence: Option<Fence>,
) -> Result<(), Failure> {
    let Some(fence) = fence else { return Ok(()) };
    match stored(tables, stream)? {
        _ if seeded(Bug::FenceNotCompared) => Ok(()),
        Some(claim) if claim.fence == fence.0 => Ok(()),
        _ => Err(StoreError::Fenced { stream: stream.clone() }.into()),
    }
}

/// Gives a stream to a worker, or refuses with [`StoreError::Claimed`].
pub(crate) fn claim(
    tables: &mut Tables<'_>,
    stream: &StreamId,
    worker: &WorkerId,
    now: Timestamp,
    ttl_ms: u64,
) -> Result<Claim, Failure> {
    let present = stored(tables, stream)?;
    let last = present.as_ref().map_or(0, |claim| claim.fence);
    let fence = match present {
        Some(StoredClaim { worker: Some(owner), .. }) if owner == worker.0 => last,
        Some(StoredClaim { worker: Some(owner), until, .. })
            if until > now.0 || seeded(Bug::ClaimNeverExpires) =>
        {
            return Err(StoreError::Claimed { stream: stream.clone(), owner }.into());
        }
        _ => last.saturating_add(1),
    };
    let until = now.plus_ms(ttl_ms);
    let claim = StoredClaim { fence, worker: Some(worker.0.clone()), until: until.0 };
    keep(tables, stream, &claim)?;
    Ok(Claim { stream: stream.clone(), worker: worker.clone(), fence: Fence(fence), until })
}

/// Takes a claim back; returns whether it was still held.
pub(crate) fn release(tables: &mut Tables<'_>, claim: &Claim) -> Result<bool, Failure> {
    match stored(tables, &claim.stream)? {
        Some(StoredClaim { fence, worker: Some(owner), until })
            if fence == claim.fence.0 && owner == claim.worker.0 =>
        {
            keep(tables, &claim.stream, &StoredClaim { fence, worker: None, until })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
