//! Storing events with everything that they start.

use super::super::super::queue::{CommitResult, EnqueueRequest, Event};
use super::super::super::sql::{Connection, query};
use super::super::super::{Micros, StoreError};
use super::insert::{self, NewRow};
use super::{admit, dead_letters, triggers};

/// Stores requests (with their places among the changes); returns the result of each.
pub(super) async fn accept(
    connection: &mut dyn Connection,
    requests: &[(usize, &EnqueueRequest)],
    now: Micros,
) -> Result<Vec<(usize, CommitResult)>, StoreError> {
    let mut results = Vec::with_capacity(requests.len());
    let mut wanted = Vec::with_capacity(requests.len());
    for (at, request) in requests {
        match processed_before(connection, request, now).await? {
            Some(result) => results.push((*at, result)),
            None => wanted.push((*at, *request)),
        }
    }
    let events: Vec<&Event> = wanted.iter().filter_map(|(_, request)| request.event.as_ref()).collect();
    let new = insert::events(connection, &events, now).await?;
    let mut independent = Vec::new();
    for (at, request) in wanted {
        let mut claimed = Vec::new();
        // If the event is stored already, an earlier attempt stored it with everything that it starts.
        if request.event.as_ref().is_none_or(|event| new.contains(&event.id)) {
            let worker = request.claimed_by.as_ref().map(|(worker, lease)| (worker.as_str(), *lease));
            for (place, execution) in (0..).zip(&request.executions) {
                // Executions of one request have an order, too.
                let now = now + place;
                match admit::independent(execution, now, worker) {
                    Some(row) => independent.push((results.len(), row)),
                    None => claimed.extend(admit::admit(connection, execution, now, worker).await?),
                }
            }
            for letter in &request.dead_letters {
                dead_letters::insert(connection, letter, now).await?;
            }
        }
        results.push((at, CommitResult::Stored(claimed)));
    }
    let (places, rows): (Vec<usize>, Vec<NewRow<'_>>) = independent.into_iter().unzip();
    insert::executions(connection, &rows).await?;
    for (place, row) in places.into_iter().zip(rows) {
        if let Some((_, CommitResult::Stored(claimed))) = results.get_mut(place) {
            claimed.extend(row.claimed());
        }
    }
    Ok(results)
}

/// The result for a request whose schedule tick, dead letter or event was processed before.
async fn processed_before(
    connection: &mut dyn Connection,
    request: &EnqueueRequest,
    now: Micros,
) -> Result<Option<CommitResult>, StoreError> {
    if let Some((environment, trigger, before, after)) = &request.tick
        && !triggers::tick(connection, environment, trigger, before, after).await?
    {
        return Ok(Some(CommitResult::Fenced));
    }
    if let Some((environment, letter)) = &request.replays
        && !dead_letters::mark_replayed(connection, environment, letter).await?
    {
        return Ok(Some(CommitResult::Fenced));
    }
    let (Some(key), Some(event)) = (&request.dedup_key, &request.event) else { return Ok(None) };
    let statement = "INSERT INTO event_keys (environment, trigger_name, key, event, expires_at) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, trigger_name, key) DO UPDATE SET \
                     event = excluded.event, expires_at = excluded.expires_at WHERE event_keys.expires_at <= $6";
    let statement = query(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
    let statement = statement.bind(&event.id).bind(now.saturating_add(key.window)).bind(now);
    if statement.execute(connection).await? > 0 {
        return Ok(None);
    }
    let statement = "SELECT event FROM event_keys WHERE environment = $1 AND trigger_name = $2 AND key = $3";
    let statement = query(statement).bind(&event.environment).bind(&event.trigger).bind(&key.key);
    Ok(Some(CommitResult::Duplicate(statement.fetch_one(connection).await?.get("event")?)))
}
