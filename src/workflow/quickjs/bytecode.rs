//! A cache of compiled code: compiling the prelude takes longer than most scripts run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rquickjs::module::Declared;
use rquickjs::{Context, Ctx, Error, Module, Runtime, WriteOptions};

use crate::text::Digest;

const PRELUDE: &str = include_str!("../prelude.js");
/// The module name of the prelude, which is not a valid file name of an author.
const PRELUDE_NAME: &str = "evenkeel:prelude";
/// Maximum number of cached scripts.
const MAX_SCRIPTS: usize = 1_000;
/// Maximum size of the cached scripts in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Bytecode that this process compiled.
#[derive(Clone)]
pub(super) struct Bytecode(Arc<[u8]>);

/// Compiled scripts by the digest of file and code.
#[derive(Default)]
struct ScriptCache {
    scripts: HashMap<Digest, Bytecode>,
    bytes: usize,
}

static CACHE: Mutex<Option<ScriptCache>> = Mutex::new(None);

/// The prelude, compiled once per process.
pub(super) fn prelude() -> Result<Bytecode, Error> {
    static COMPILED: OnceLock<Bytecode> = OnceLock::new();
    if let Some(known) = COMPILED.get() {
        return Ok(known.clone());
    }
    let runtime = Runtime::new()?;
    let context = Context::full(&runtime)?;
    let made = context.with(|ctx| write(&Module::declare(ctx, PRELUDE_NAME, PRELUDE)?))?;
    Ok(COMPILED.get_or_init(|| made).clone())
}

/// A script as a module, compiled within the limits of the first run that needs it.
pub(super) fn script<'js>(ctx: &Ctx<'js>, file: &str, code: &str) -> Result<Module<'js, Declared>, Error> {
    let key = Digest::of(format!("{file}\0{code}").as_bytes());
    let known = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().scripts.get(&key).cloned();
    if let Some(known) = known {
        return load(ctx, &known);
    }
    let module = Module::declare(ctx.clone(), file, code)?;
    // If the memory limit does not suffice for the bytecode, the module runs uncached.
    let Ok(bytecode) = write(&module) else { return Ok(module) };
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = cache.get_or_insert_default();
    let size = bytecode.0.len();
    if cache.scripts.len() >= MAX_SCRIPTS || cache.bytes + size > MAX_BYTES {
        *cache = ScriptCache::default();
    }
    if size <= MAX_BYTES && cache.scripts.insert(key, bytecode).is_none() {
        cache.bytes += size;
    }
    Ok(module)
}

/// Loads a module from bytecode.
#[allow(
    unsafe_code,
    reason = "the only unsafe code: the engine cannot validate bytecode, and it compiled this bytecode itself"
)]
pub(super) fn load<'js>(ctx: &Ctx<'js>, code: &Bytecode) -> Result<Module<'js, Declared>, Error> {
    // SAFETY: only `write` creates `Bytecode`, from a module that this engine compiled in this process; it is never stored,
    // received or changed. The engine copies the data (`JS_READ_OBJ_ROM_DATA` is 0), so the slice need not outlive the call.
    unsafe { Module::load(ctx.clone(), &code.0) }
}

fn write(module: &Module<'_, Declared>) -> Result<Bytecode, Error> {
    Ok(Bytecode(module.write(WriteOptions::default())?.into()))
}
