use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::store::Micros;

/// Replies to every call: `echo` with its input, `slow` after a delay, `fail` with an error, sleeps with a suspension.
#[derive(Default)]
struct FakeHost {
    calls: Mutex<Vec<HostCall>>,
}

impl ScriptHost for FakeHost {
    fn call(self: Arc<Self>, call: HostCall) -> futures::future::BoxFuture<'static, HostReply> {
        self.calls.lock().unwrap().push(call.clone());
        Box::pin(async move {
            match call {
                HostCall::Action { action, input, .. } => match action.as_str() {
                    "fail" => HostReply::Error(json!({"code": "NO", "message": "not today", "status": 418}), 2_000_000),
                    "slow" => {
                        tokio::time::sleep(Duration::from_millis(30)).await;
                        HostReply::Value(input, 3_000_000)
                    }
                    "gone" => HostReply::LeaseLost,
                    _ => HostReply::Value(input, 2_000_000),
                },
                HostCall::Sleep { ms } => HostReply::Suspended((ms * 1000.0) as Micros),
                HostCall::Begin { name } => HostReply::Value(json!({"name": name}), 2_000_000),
                _ => HostReply::Value(Value::Null, 2_000_000),
            }
        })
    }
}

fn limits() -> ScriptLimits {
    ScriptLimits { time: Duration::from_secs(5), memory: 32 << 20, ..ScriptLimits::default() }
}

async fn run_with(code: &str, limits: ScriptLimits) -> (ScriptOutcome, Vec<HostCall>) {
    let host = Arc::new(FakeHost::default());
    let call = ScriptRun {
        file: "flow.ts".to_owned(),
        code: code.into(),
        context: json!({"input": {"name": "Ada"}, "headers": {}}),
        now: 1_000_000,
        seed: 7,
    };
    let outcome = QuickJs.run(call, limits, Arc::clone(&host) as Arc<dyn ScriptHost>, CancelToken::default()).await;
    let calls = host.calls.lock().unwrap().clone();
    (outcome, calls)
}

async fn outcome(body: &str) -> ScriptOutcome {
    run_with(&format!("export default async function (ctx) {{ {body} }}"), limits()).await.0
}

async fn thrown(body: &str) -> ScriptException {
    match outcome(body).await {
        ScriptOutcome::Threw(thrown) => thrown,
        other => panic!("{body}: {other:?}"),
    }
}

#[tokio::test]
async fn a_scripts_return_value_is_its_output() {
    assert_eq!(outcome("return { hello: ctx.input.name }").await, ScriptOutcome::Returned(json!({"hello": "Ada"})));
    assert_eq!(outcome("").await, ScriptOutcome::Returned(Value::Null));
    let all = "const [a, b] = await Promise.all([ctx.connectors.x.slow(1), ctx.connectors.x.echo(2)]); return a + b";
    assert_eq!(outcome(all).await, ScriptOutcome::Returned(json!(3)));
    let caught =
        "try { await ctx.connectors.x.fail() } catch (e) { return [e.code, e.message, e.status, e instanceof Error] }";
    assert_eq!(outcome(caught).await, ScriptOutcome::Returned(json!(["NO", "not today", 418, true])));
}

#[tokio::test]
async fn time_and_random_numbers_are_the_same_in_each_run() {
    let body = "const a = Date.now(); await ctx.connectors.x.echo(1); \
                return [a, Date.now(), new Date().toISOString(), Math.random(), new Date(0) instanceof Date]";
    let first = outcome(body).await;
    assert_eq!(first, outcome(body).await);
    let ScriptOutcome::Returned(value) = first else { panic!("{first:?}") };
    assert_eq!((&value[0], &value[1], &value[2]), (&json!(1000), &json!(2000), &json!("1970-01-01T00:00:02.000Z")));
    assert_eq!(value[4], json!(true));
}

#[tokio::test]
async fn a_script_has_no_access_beyond_its_host() {
    let names = "return ['fetch','require','process','Deno','std','os','setTimeout','XMLHttpRequest','WebAssembly','performance'] \
                 .filter((name) => typeof globalThis[name] !== 'undefined')";
    assert_eq!(outcome(names).await, ScriptOutcome::Returned(json!([])));
    assert_eq!(thrown("await import('std')").await.code, "SCRIPT_ERROR");
    // A script does not see the globals of an earlier one.
    assert_eq!(
        outcome("globalThis.left = 1; Array.prototype.left = 1; return 1").await,
        ScriptOutcome::Returned(json!(1))
    );
    assert_eq!(
        outcome("return [typeof left, [].left === undefined]").await,
        ScriptOutcome::Returned(json!(["undefined", true]))
    );
}

/// All scripts run on one thread, so that they share a pooled runtime.
#[test]
fn a_pooled_runtime_keeps_nothing_of_an_earlier_script() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    let dirty = [
        "globalThis.left = 1; Object.prototype.left = 1; Date.prototype.left = 1; JSON.left = 1; return 1",
        "Promise.resolve().then(async () => { for (let i = 0; i < 9; i++) await ctx.connectors.x.slow(i); left() }); return 1",
        "const r = new FinalizationRegistry(() => { globalThis.left = 1 }); for (let i = 0; i < 9; i++) r.register({}, i); return 1",
        "globalThis.all = []; for (let i = 0; i < 1e4; i++) all.push({ i, me: all }); return 1",
        "Promise.resolve().then(() => { while (true) {} }); return 1",
        "throw new Error('no')",
        "ctx.connectors.x.slow(1); return 1",
        "const spin = () => Promise.resolve().then(spin); spin(); await new Promise(() => {})",
        "Array.prototype.push = Array.prototype.map = undefined; return 1",
        "return (function deep() { return deep() })()",
    ];
    let clean = "return ['left', 'all'].map((name) => typeof globalThis[name]).concat([{}.left, new Date(0).left, JSON.left, [].push]
        .map((value) => typeof value)).join()";
    runtime.block_on(async {
        for _ in 0..3 {
            for body in dirty {
                let small = ScriptLimits { time: Duration::from_millis(300), ..limits() };
                let (_, _) = run_with(&format!("export default async function (ctx) {{ {body} }}"), small).await;
                let found = outcome(clean).await;
                let all = "undefined,undefined,undefined,undefined,undefined,function";
                assert_eq!(found, ScriptOutcome::Returned(json!(all)), "{body}");
            }
        }
    });
}

/// The cache returns the requested script, with its locations.
#[tokio::test]
async fn cached_scripts_are_distinct_and_report_locations() {
    for _ in 0..3 {
        for n in 0..5 {
            assert_eq!(outcome(&format!("return {n}")).await, ScriptOutcome::Returned(json!(n)));
        }
        let error = thrown("\n\n null.x").await;
        assert_eq!((error.file.as_str(), error.line), ("flow.ts", 3), "{error:?}");
    }
}

#[tokio::test]
async fn exceptions_have_their_location() {
    let (outcome, _) = run_with(
        "export default async function (ctx) {\n  const a = 1;\n  await ctx.connectors.x.fail();\n}",
        limits(),
    )
    .await;
    let ScriptOutcome::Threw(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("NO", "not today"));
    assert_eq!((error.file.as_str(), error.line), ("flow.ts", 3), "{error:?}");
    let (outcome, _) = run_with("function deep() {\n  null.x;\n}\nexport default () => deep()", limits()).await;
    let ScriptOutcome::Threw(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.message.starts_with("TypeError: "), "{error:?}");
    assert_eq!(error.line, 2);
    for (code, part) in
        [("const x = 1", "export default"), ("export default 5", "export default"), ("export default (", "SyntaxError")]
    {
        let (outcome, _) = run_with(code, limits()).await;
        let ScriptOutcome::Threw(error) = outcome else { panic!("{outcome:?}") };
        assert!(error.message.contains(part), "{code}: {error:?}");
    }
    assert_eq!(thrown("throw 'text'").await.message, "text");
    assert_eq!(thrown("throw { a: 1 }").await.message, "{\"a\":1}");
    assert!(thrown("return (() => 1)").await.message.contains("not JSON"));
    assert!(thrown("await new Promise(() => {})").await.message.contains("never settled"));
}

#[tokio::test]
async fn every_script_ends_within_its_limits() {
    let short = ScriptLimits { time: Duration::from_millis(300), ..limits() };
    for body in [
        "while (true) {}",
        "for (;;) { await null }",
        "for (;;) { await Promise.resolve() }",
        "try { while (true) {} } catch {} return 1",
        "for (;;) { try { for (;;); } finally { continue } }",
        "return /^(a+)+$/.test('a'.repeat(40) + '!')",
        "return /(x+x+)+y/.exec('x'.repeat(100))",
        "[3, 1, 2].sort(() => { for (;;); })",
        "return JSON.stringify({ toJSON() { for (;;); } })",
    ] {
        let code = format!("export default async function (ctx) {{ {body} }}");
        let started = Instant::now();
        let (outcome, _) = run_with(&code, short).await;
        assert_eq!(outcome, ScriptOutcome::TimedOut, "{body}");
        assert!(started.elapsed() < Duration::from_secs(5), "{body}");
    }
    for body in [
        "const all = []; for (;;) all.push('x'.repeat(1000) + all.length)",
        "let s = 'x'; for (;;) s += s",
        "return 'x'.repeat(10e9)",
        "return new Array(1e9).fill(0)",
        "return new ArrayBuffer(10e9)",
        "return 'ab'.padEnd(2 ** 30 - 1, 'x').replaceAll('x', 'yyyyyyyyyyyyyyyy')",
        "const f = (n) => f(n + 1) + 1; return f(0)",
        "let a = []; for (let i = 0; i < 1e6; i++) a = [a]; return a",
        "const a = {}; a.a = a; return a",
        "return JSON.parse('['.repeat(1e6))",
    ] {
        let outcome = outcome(body).await;
        let ScriptOutcome::Threw(error) = outcome else { panic!("{body}: {outcome:?}") };
        assert!(!error.message.is_empty(), "{body}");
    }
    // It reaches its memory limit or its time limit, whichever comes first.
    let spin = "const spin = () => Promise.resolve().then(spin); spin(); await new Promise(() => {})";
    let (outcome, _) = run_with(&format!("export default async () => {{ {spin} }}"), short).await;
    assert!(matches!(outcome, ScriptOutcome::TimedOut | ScriptOutcome::Threw(_)), "{outcome:?}");
    assert_eq!(thrown("return 'x'.repeat(5e6)").await.code, "OUTPUT_TOO_LARGE");
    assert_eq!(thrown("await ctx.connectors.x.echo('x'.repeat(5e6))").await.code, "VALUE_TOO_LARGE");
    let few = ScriptLimits { calls: 100, ..limits() };
    let (outcome, calls) =
        run_with("export default async (ctx) => { for (;;) await ctx.connectors.x.echo(1) }", few).await;
    assert!(
        matches!(outcome, ScriptOutcome::Threw(ScriptException { ref code, .. }) if code == "TOO_MANY_CALLS"),
        "{outcome:?}"
    );
    assert_eq!(calls.len(), 100);
}

#[tokio::test]
async fn a_script_is_suspended_when_only_waits_are_left() {
    assert_eq!(outcome("await ctx.sleep('90s'); return 1").await, ScriptOutcome::Suspended(90_000_000));
    // The other call is answered first, so that it is recorded before the script is suspended.
    let body = "await Promise.all([ctx.sleep('1h30m'), ctx.sleep(1000), ctx.connectors.x.slow(1)])";
    let (outcome, calls) = run_with(&format!("export default async (ctx) => {{ {body} }}"), limits()).await;
    assert_eq!((outcome, calls.len()), (ScriptOutcome::Suspended(1_000_000), 3));
    let race = "return await Promise.race([ctx.sleep('1h'), ctx.connectors.x.slow('won')])";
    assert_eq!(self::outcome(race).await, ScriptOutcome::Returned(json!("won")));
    assert_eq!(self::outcome("await ctx.connectors.x.gone()").await, ScriptOutcome::LeaseLost);
    assert!(thrown("await ctx.sleep('soon')").await.message.contains("not a duration"));
}

#[tokio::test]
async fn a_script_is_cancelled_from_outside() {
    let cancel = CancelToken::default();
    let script = ScriptRun {
        file: "flow.ts".to_owned(),
        code: "export default () => { for (;;); }".into(),
        context: json!({}),
        now: 0,
        seed: 0,
    };
    let canceller = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        canceller.cancel(crate::workflow::engine::CancelReason::Cancelled);
    });
    let outcome = QuickJs.run(script, limits(), Arc::new(FakeHost::default()), cancel).await;
    assert_eq!(outcome, ScriptOutcome::Cancelled);
}

#[tokio::test]
async fn steps_begin_end_and_are_retried() {
    let body = "let n = 0; return await ctx.step('pay', { retry: { maxAttempts: 3, initialInterval: 0 } }, async () => { \
                if (++n < 2) throw new Error('again'); return { n } })";
    let code = format!("export default async function (ctx) {{ {body} }}");
    let (outcome, calls) = run_with(&code, limits()).await;
    // The fake host suspends sleeps, so there is no second attempt; only the calls are checked.
    assert_eq!(outcome, ScriptOutcome::Suspended(0));
    assert!(matches!(&calls[..], [HostCall::Begin { .. }, HostCall::Sleep { .. }]), "{calls:?}");
    let (outcome, calls) = run_with("export default (ctx) => ctx.step('one', async () => undefined)", limits()).await;
    assert_eq!(outcome, ScriptOutcome::Returned(Value::Null));
    assert!(matches!(&calls[..], [HostCall::Begin { .. }, HostCall::End { .. }]), "{calls:?}");
}
