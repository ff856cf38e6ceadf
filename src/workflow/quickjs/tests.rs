use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::store::Micros;

/// Answers everything: `echo` its input, `slow` after a while, `park` never, `fail` with an error.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<HostCall>>,
}

impl ScriptHost for Fake {
    fn call(self: Arc<Self>, op: HostCall) -> futures::future::BoxFuture<'static, HostReply> {
        self.asked.lock().unwrap().push(op.clone());
        Box::pin(async move {
            match op {
                HostCall::Action { action, input, .. } => match action.as_str() {
                    "fail" => HostReply::Error(json!({"code": "NO", "message": "not today", "status": 418}), 2_000_000),
                    "slow" => {
                        tokio::time::sleep(Duration::from_millis(30)).await;
                        HostReply::Value(input, 3_000_000)
                    }
                    "gone" => HostReply::Gone,
                    _ => HostReply::Value(input, 2_000_000),
                },
                HostCall::Sleep { ms } => HostReply::Parked((ms * 1000.0) as Micros),
                HostCall::Begin { name } => HostReply::Value(json!({"name": name}), 2_000_000),
                _ => HostReply::Value(Value::Null, 2_000_000),
            }
        })
    }
}

fn limits() -> Limits {
    Limits { time: Duration::from_secs(5), memory: 32 << 20, ..Limits::default() }
}

async fn run_with(code: &str, limits: Limits) -> (ScriptOutcome, Vec<HostCall>) {
    let host = Arc::new(Fake::default());
    let call = ScriptRun {
        file: "flow.ts".to_owned(),
        code: code.into(),
        context: json!({"input": {"name": "Ada"}, "headers": {}}),
        now: 1_000_000,
        seed: 7,
    };
    let ended = QuickJs.run(call, limits, Arc::clone(&host) as Arc<dyn ScriptHost>, CancelToken::default()).await;
    let asked = host.asked.lock().unwrap().clone();
    (ended, asked)
}

async fn ended(body: &str) -> ScriptOutcome {
    run_with(&format!("export default async function (ctx) {{ {body} }}"), limits()).await.0
}

async fn thrown(body: &str) -> ScriptException {
    match ended(body).await {
        ScriptOutcome::Threw(thrown) => thrown,
        other => panic!("{body}: {other:?}"),
    }
}

#[tokio::test]
async fn what_a_script_returns_is_its_output() {
    assert_eq!(ended("return { hello: ctx.input.name }").await, ScriptOutcome::Returned(json!({"hello": "Ada"})));
    assert_eq!(ended("").await, ScriptOutcome::Returned(Value::Null));
    let all = "const [a, b] = await Promise.all([ctx.connectors.x.slow(1), ctx.connectors.x.echo(2)]); return a + b";
    assert_eq!(ended(all).await, ScriptOutcome::Returned(json!(3)));
    let caught =
        "try { await ctx.connectors.x.fail() } catch (e) { return [e.code, e.message, e.status, e instanceof Error] }";
    assert_eq!(ended(caught).await, ScriptOutcome::Returned(json!(["NO", "not today", 418, true])));
}

#[tokio::test]
async fn the_time_and_chance_are_the_same_each_time() {
    let body = "const a = Date.now(); await ctx.connectors.x.echo(1); \
                return [a, Date.now(), new Date().toISOString(), Math.random(), new Date(0) instanceof Date]";
    let first = ended(body).await;
    assert_eq!(first, ended(body).await);
    let ScriptOutcome::Returned(value) = first else { panic!("{first:?}") };
    assert_eq!((&value[0], &value[1], &value[2]), (&json!(1000), &json!(2000), &json!("1970-01-01T00:00:02.000Z")));
    assert_eq!(value[4], json!(true));
}

#[tokio::test]
async fn a_script_reaches_nothing_by_itself() {
    let names = "return ['fetch','require','process','Deno','std','os','setTimeout','XMLHttpRequest','WebAssembly','performance'] \
                 .filter((name) => typeof globalThis[name] !== 'undefined')";
    assert_eq!(ended(names).await, ScriptOutcome::Returned(json!([])));
    assert_eq!(thrown("await import('std')").await.code, "SCRIPT_ERROR");
    // What one script leaves behind, the next does not find.
    assert_eq!(
        ended("globalThis.left = 1; Array.prototype.left = 1; return 1").await,
        ScriptOutcome::Returned(json!(1))
    );
    assert_eq!(
        ended("return [typeof left, [].left === undefined]").await,
        ScriptOutcome::Returned(json!(["undefined", true]))
    );
}

/// On one thread, so that a script runs where another ran.
#[test]
fn what_one_script_leaves_on_a_thread_the_next_does_not_find() {
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
                let small = Limits { time: Duration::from_millis(300), ..limits() };
                let (_, _) = run_with(&format!("export default async function (ctx) {{ {body} }}"), small).await;
                let found = ended(clean).await;
                let all = "undefined,undefined,undefined,undefined,undefined,function";
                assert_eq!(found, ScriptOutcome::Returned(json!(all)), "{body}");
            }
        }
    });
}

/// Whatever a script is cached as, it is the one that was asked for.
#[tokio::test]
async fn compiled_scripts_are_told_apart_and_say_where_they_break() {
    for _ in 0..3 {
        for n in 0..5 {
            assert_eq!(ended(&format!("return {n}")).await, ScriptOutcome::Returned(json!(n)));
        }
        let error = thrown("\n\n null.x").await;
        assert_eq!((error.file.as_str(), error.line), ("flow.ts", 3), "{error:?}");
    }
}

#[tokio::test]
async fn mistakes_say_where_they_are() {
    let (ended, _) = run_with(
        "export default async function (ctx) {\n  const a = 1;\n  await ctx.connectors.x.fail();\n}",
        limits(),
    )
    .await;
    let ScriptOutcome::Threw(error) = ended else { panic!("{ended:?}") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("NO", "not today"));
    assert_eq!((error.file.as_str(), error.line), ("flow.ts", 3), "{error:?}");
    let (ended, _) = run_with("function deep() {\n  null.x;\n}\nexport default () => deep()", limits()).await;
    let ScriptOutcome::Threw(error) = ended else { panic!("{ended:?}") };
    assert!(error.message.starts_with("TypeError: "), "{error:?}");
    assert_eq!(error.line, 2);
    for (code, part) in
        [("const x = 1", "export default"), ("export default 5", "export default"), ("export default (", "SyntaxError")]
    {
        let (ended, _) = run_with(code, limits()).await;
        let ScriptOutcome::Threw(error) = ended else { panic!("{ended:?}") };
        assert!(error.message.contains(part), "{code}: {error:?}");
    }
    assert_eq!(thrown("throw 'text'").await.message, "text");
    assert_eq!(thrown("throw { a: 1 }").await.message, "{\"a\":1}");
    assert!(thrown("return (() => 1)").await.message.contains("no JSON"));
    assert!(thrown("await new Promise(() => {})").await.message.contains("never comes"));
}

#[tokio::test]
async fn whatever_a_script_does_it_ends_within_its_limits() {
    let short = Limits { time: Duration::from_millis(300), ..limits() };
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
        let (ended, _) = run_with(&code, short).await;
        assert_eq!(ended, ScriptOutcome::TimedOut, "{body}");
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
        let ended = ended(body).await;
        let ScriptOutcome::Threw(error) = ended else { panic!("{body}: {ended:?}") };
        assert!(!error.message.is_empty(), "{body}");
    }
    // It meets its limit of memory or of time, whichever comes first.
    let spin = "const spin = () => Promise.resolve().then(spin); spin(); await new Promise(() => {})";
    let (ended, _) = run_with(&format!("export default async () => {{ {spin} }}"), short).await;
    assert!(matches!(ended, ScriptOutcome::TimedOut | ScriptOutcome::Threw(_)), "{ended:?}");
    assert_eq!(thrown("return 'x'.repeat(5e6)").await.code, "OUTPUT_TOO_LARGE");
    assert_eq!(thrown("await ctx.connectors.x.echo('x'.repeat(5e6))").await.code, "VALUE_TOO_LARGE");
    let few = Limits { calls: 100, ..limits() };
    let (ended, asked) =
        run_with("export default async (ctx) => { for (;;) await ctx.connectors.x.echo(1) }", few).await;
    assert!(
        matches!(ended, ScriptOutcome::Threw(ScriptException { ref code, .. }) if code == "TOO_MANY_CALLS"),
        "{ended:?}"
    );
    assert_eq!(asked.len(), 100);
}

#[tokio::test]
async fn a_script_that_only_waits_is_suspended_when_nothing_else_is_left() {
    assert_eq!(ended("await ctx.sleep('90s'); return 1").await, ScriptOutcome::Suspended(90_000_000));
    // The other call is answered first: what it did must be on record before the script is put away.
    let body = "await Promise.all([ctx.sleep('1h30m'), ctx.sleep(1000), ctx.connectors.x.slow(1)])";
    let (ended, asked) = run_with(&format!("export default async (ctx) => {{ {body} }}"), limits()).await;
    assert_eq!((ended, asked.len()), (ScriptOutcome::Suspended(1_000_000), 3));
    let race = "return await Promise.race([ctx.sleep('1h'), ctx.connectors.x.slow('won')])";
    assert_eq!(self::ended(race).await, ScriptOutcome::Returned(json!("won")));
    assert_eq!(self::ended("await ctx.connectors.x.gone()").await, ScriptOutcome::Gone);
    assert!(thrown("await ctx.sleep('soon')").await.message.contains("no duration"));
}

#[tokio::test]
async fn a_script_is_stopped_from_outside() {
    let stop = CancelToken::default();
    let call = ScriptRun {
        file: "flow.ts".to_owned(),
        code: "export default () => { for (;;); }".into(),
        context: json!({}),
        now: 0,
        seed: 0,
    };
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stopping.stop(crate::workflow::engine::CancelReason::Cancelled);
    });
    let ended = QuickJs.run(call, limits(), Arc::new(Fake::default()), stop).await;
    assert_eq!(ended, ScriptOutcome::Cancelled);
}

#[tokio::test]
async fn steps_are_begun_and_ended_and_tried_again() {
    let body = "let n = 0; return await ctx.step('pay', { retry: { maxAttempts: 3, initialInterval: 0 } }, async () => { \
                if (++n < 2) throw new Error('again'); return { n } })";
    let code = format!("export default async function (ctx) {{ {body} }}");
    let (ended, asked) = run_with(&code, limits()).await;
    // The fake parks sleeps, so the second attempt never comes; what was asked is what counts here.
    assert_eq!(ended, ScriptOutcome::Suspended(0));
    assert!(matches!(&asked[..], [HostCall::Begin { .. }, HostCall::Sleep { .. }]), "{asked:?}");
    let (ended, asked) = run_with("export default (ctx) => ctx.step('one', async () => undefined)", limits()).await;
    assert_eq!(ended, ScriptOutcome::Returned(Value::Null));
    assert!(matches!(&asked[..], [HostCall::Begin { .. }, HostCall::End { .. }]), "{asked:?}");
}
