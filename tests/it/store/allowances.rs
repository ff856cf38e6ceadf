//! Allowances on both databases: several limiters, as of several processes, count together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::quota::{Limiter, Refusal};
use evenkeel::store::allowance::{Allowance, Period, Reservation};
use evenkeel::store::{Keys, Store};

use super::Fixture;

super::on_both!(
    processes_share_one_allowance,
    an_allowance_survives_a_restart,
    units_of_a_fast_limit_cost_few_writes,
    returned_units_are_free_for_others,
    expired_allowances_are_deleted,
);

const HOUR: Duration = Duration::from_hours(1);

fn allowance(units: u64, period: Duration) -> Allowance {
    let period = Period::Sliding(i64::try_from(period.as_micros()).unwrap());
    Allowance { environment: "live".into(), name: "rateLimit/crm".into(), units, period }
}

fn want(units: u64) -> Reservation {
    Reservation { units, validity: 100_000, ..Reservation::default() }
}

async fn processes_share_one_allowance(fixture: Fixture) {
    let (one, two) = (Arc::clone(&fixture.store), fixture.another().await);
    let limiters = [Limiter::of_store(one, None), Limiter::of_store(two, None)];
    let hourly = allowance(10, HOUR);
    let calls = (0..20).map(|call| {
        let (limiter, hourly) = (Arc::clone(&limiters[call % 2]), hourly.clone());
        tokio::spawn(async move { limiter.wait(&hourly, Instant::now() + Duration::from_secs(30)).await })
    });
    let (mut sent, mut refused) = (0, 0);
    for call in futures::future::join_all(calls).await {
        match call.unwrap() {
            Ok(()) => sent += 1,
            Err(Refusal::Exceeded { retry_after }) => {
                assert!(retry_after > HOUR / 2, "{retry_after:?}");
                refused += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((sent, refused), (10, 10));

    // 3 per period and 9 calls of two processes: at least two whole periods.
    let fast = Allowance { name: "rateLimit/shop".into(), ..allowance(3, Duration::from_millis(300)) };
    let started = Instant::now();
    let calls = (0..9).map(|call| {
        let (limiter, fast) = (Arc::clone(&limiters[call % 2]), fast.clone());
        tokio::spawn(async move { limiter.wait(&fast, Instant::now() + Duration::from_mins(1)).await })
    });
    for call in futures::future::join_all(calls).await {
        call.unwrap().unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed());
}

async fn an_allowance_survives_a_restart(fixture: Fixture) {
    let daily = Allowance { period: Period::Day, ..allowance(2, HOUR) };
    assert_eq!(fixture.store.reserve(&daily, &want(2)).await.unwrap().units, 2);
    let fixture = fixture.reopened(Keys::none()).await;
    let grant = fixture.store.reserve(&daily, &want(1)).await.unwrap();
    assert_eq!((grant.units, grant.free_in.len()), (0, 1));
}

async fn units_of_a_fast_limit_cost_few_writes(fixture: Fixture) {
    let limiter = Limiter::of_store(Arc::clone(&fixture.store), None);
    let fast = allowance(100_000, Duration::from_secs(10));
    let before = fixture.store.writes();
    for _ in 0..2_000 {
        limiter.wait(&fast, Instant::now() + Duration::from_mins(1)).await.unwrap();
    }
    let writes = fixture.store.writes() - before;
    assert!(writes < 200, "{writes} writes for 2,000 calls");
}

async fn returned_units_are_free_for_others(fixture: Fixture) {
    let (one, two) = (&fixture.store, fixture.another().await);
    let hourly = allowance(5, HOUR);
    let grant = one.reserve(&hourly, &want(5)).await.unwrap();
    assert_eq!(two.reserve(&hourly, &want(1)).await.unwrap().units, 0);
    let returned = Reservation { returned: Some((grant.until, 3)), ..Reservation::default() };
    assert_eq!(one.reserve(&hourly, &returned).await.unwrap().units, 0);
    assert_eq!(two.reserve(&hourly, &want(9)).await.unwrap().units, 3);
}

async fn expired_allowances_are_deleted(fixture: Fixture) {
    let store: &dyn Store = &*fixture.store;
    let short = Reservation { units: 1, ..Reservation::default() };
    store.reserve(&allowance(1, Duration::from_millis(1)), &short).await.unwrap();
    let kept = Allowance { name: "rateLimit/kept".into(), ..allowance(1, HOUR) };
    store.reserve(&kept, &short).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    while store.delete_expired("live", 0).await.unwrap() > 0 {}
    assert_eq!(fixture.number("SELECT count(*) FROM allowances").await, 1);
}
