//! Tests of pools in real time. They measure lower bounds only, which hold on a slow machine too; `store::allowance` has
//! the tests with a clock that they move.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::ledger::{Ledger, MemoryLedger};
use super::time::{lock, micros};
use super::{Limiter, MAX_WAITERS, Refusal};
use crate::store::StoreError;
use crate::store::allowance::{Allowance, Grant, Period, Reservation};

const HOUR: Duration = Duration::from_hours(1);

fn allowance(units: u64, period: Duration) -> Allowance {
    Allowance {
        environment: "live".into(),
        name: "rateLimit/crm".into(),
        units,
        period: Period::Sliding(micros(period)),
    }
}

fn daily(units: u64) -> Allowance {
    Allowance { period: Period::Day, ..allowance(units, HOUR) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// A ledger that counts the requests, and fails as often as set.
#[derive(Default)]
struct CountingLedger {
    ledger: MemoryLedger,
    requests: AtomicU64,
    failures: AtomicU64,
}

#[async_trait]
impl Ledger for CountingLedger {
    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("the database is away".to_owned()));
        }
        self.ledger.reserve(allowance, request).await
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_for_the_next_period() {
    let limiter = Limiter::in_memory();
    let allowance = allowance(3, Duration::from_millis(200));
    let started = Instant::now();
    let calls = (0..8).map(|_| limiter.wait(&allowance, soon()));
    for call in futures::future::join_all(calls).await {
        call.unwrap();
    }
    // 3 at once, 3 in the second period, 2 in the third.
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
}

#[tokio::test]
async fn serves_waiters_in_the_order_of_their_requests() {
    let limiter = Limiter::in_memory();
    let allowance = allowance(1, Duration::from_millis(20));
    limiter.wait(&allowance, soon()).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let calls = (0..10).map(|number| {
        let (limiter, allowance, order) = (Arc::clone(&limiter), allowance.clone(), Arc::clone(&order));
        async move {
            limiter.wait(&allowance, soon()).await.unwrap();
            lock(&order).push(number);
        }
    });
    // They are polled, and so queued, in their order.
    futures::future::join_all(calls).await;
    assert_eq!(*lock(&order), (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn refuses_at_once_a_wait_that_does_not_fit_in_the_deadline() {
    let limiter = Limiter::in_memory();
    let allowance = allowance(1, HOUR);
    limiter.wait(&allowance, soon()).await.unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let refused = limiter.wait(&allowance, started + Duration::from_secs(30)).await.unwrap_err();
        let Refusal::Exceeded { retry_after } = refused else { panic!("{refused:?}") };
        assert!(retry_after > HOUR / 2 && retry_after <= HOUR + Duration::from_secs(2), "{retry_after:?}");
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn bounds_the_number_of_waiters() {
    let limiter = Limiter::in_memory();
    let allowance = allowance(1, HOUR);
    limiter.wait(&allowance, soon()).await.unwrap();
    let far = Instant::now() + HOUR * 10_000;
    let mut waiting: Vec<_> = (0..MAX_WAITERS).map(|_| Box::pin(limiter.wait(&allowance, far))).collect();
    for wait in &mut waiting {
        assert!(futures::poll!(wait).is_pending());
    }
    assert!(matches!(limiter.wait(&allowance, far).await, Err(Refusal::Exceeded { .. })));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_unit_to_the_next() {
    let limiter = Limiter::in_memory();
    let allowance = allowance(1, Duration::from_millis(100));
    limiter.wait(&allowance, soon()).await.unwrap();
    let mut gone = Box::pin(limiter.wait(&allowance, soon()));
    assert!(futures::poll!(&mut gone).is_pending());
    drop(gone);
    limiter.wait(&allowance, soon()).await.unwrap();
}

#[tokio::test]
async fn reserves_units_in_batches() {
    let ledger = Arc::new(CountingLedger::default());
    let limiter = Limiter::new(Arc::clone(&ledger) as Arc<dyn Ledger>, None);
    let allowance = allowance(10_000, Duration::from_secs(1));
    for _ in 0..5_000 {
        limiter.wait(&allowance, soon()).await.unwrap();
    }
    let requests = ledger.requests.load(Ordering::Relaxed);
    assert!(requests < 500, "{requests} requests for 5,000 calls");
}

#[tokio::test]
async fn a_limit_that_cannot_be_counted_refuses_calls_until_the_store_is_back() {
    let ledger = Arc::new(CountingLedger::default());
    let limiter = Limiter::new(Arc::clone(&ledger) as Arc<dyn Ledger>, None);
    ledger.failures.store(1, Ordering::Relaxed);
    let allowance = allowance(10, HOUR);
    assert!(matches!(limiter.wait(&allowance, soon()).await, Err(Refusal::Unavailable(_))));
    limiter.wait(&allowance, soon()).await.unwrap();
}

#[tokio::test]
async fn takes_all_units_or_none_and_does_not_wait() {
    let limiter = Limiter::in_memory();
    let allowance = daily(5);
    let taken = limiter.take(&allowance, 3).await.unwrap();
    let refused = limiter.take(&allowance, 3).await;
    assert!(matches!(refused, Err(Refusal::Exceeded { .. })), "{refused:?}");
    limiter.take(&allowance, 2).await.unwrap();
    limiter.release(&allowance, taken);
    let deadline = soon();
    while limiter.take(&allowance, 3).await.is_err() {
        assert!(Instant::now() < deadline, "the units were not returned");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(limiter.take(&allowance, 1).await.is_err());
}

#[tokio::test]
async fn an_allowance_of_nothing_refuses_everything() {
    let limiter = Limiter::in_memory();
    for allowance in [daily(0), allowance(0, HOUR)] {
        assert!(matches!(limiter.take(&allowance, 1).await, Err(Refusal::Exceeded { .. })));
    }
}

#[tokio::test]
async fn units_that_a_process_did_not_use_return_to_the_others() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::default());
    let (one, other) = (Limiter::new(Arc::clone(&ledger), None), Limiter::new(ledger, None));
    let allowance = daily(2);
    let taken = one.take(&allowance, 2).await.unwrap();
    assert!(other.take(&allowance, 1).await.is_err());
    one.release(&allowance, taken);
    let deadline = soon();
    while other.take(&allowance, 2).await.is_err() {
        assert!(Instant::now() < deadline, "the units were not returned");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_units_of_a_later_day_begin_later() {
    let limiter = Limiter::in_memory();
    let allowance = daily(1);
    assert_eq!(limiter.take_ahead(&allowance, 1).await, Ok(Duration::ZERO));
    let starts_in = limiter.take_ahead(&allowance, 1).await.unwrap();
    assert!(starts_in > Duration::ZERO && starts_in <= HOUR * 24, "{starts_in:?}");
}

#[tokio::test]
async fn permits_bound_concurrent_calls() {
    let limiter = Limiter::in_memory();
    let permit = |deadline| limiter.permit("live", "crm", 2, deadline);
    let (first, _second) = (permit(soon()).await.unwrap(), permit(soon()).await.unwrap());
    let refused = permit(Instant::now() + Duration::from_millis(20)).await;
    assert!(matches!(refused, Err(Refusal::Exceeded { .. })), "{refused:?}");
    drop(first);
    permit(soon()).await.unwrap();
}
