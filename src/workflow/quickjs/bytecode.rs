//! Compiled code, kept for the next run: to compile the prelude takes longer than most scripts run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rquickjs::module::Declared;
use rquickjs::{Context, Ctx, Error, Module, Runtime, WriteOptions};

use crate::text::Digest;

const PRELUDE: &str = include_str!("../prelude.js");
/// Its name, which no file of an author's has.
const NAME: &str = "evenkeel:prelude";
/// Scripts that are kept compiled.
const MAX_SCRIPTS: usize = 1_000;
/// Bytes of them.
const MAX_BYTES: usize = 64 << 20;

/// Bytecode that this process wrote.
#[derive(Clone)]
pub(super) struct Bytecode(Arc<[u8]>);

/// What was compiled so far, by file and code.
#[derive(Default)]
struct Kept {
    scripts: HashMap<Digest, Bytecode>,
    bytes: usize,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

/// The prelude, compiled once.
pub(super) fn prelude() -> Result<Bytecode, Error> {
    static COMPILED: OnceLock<Bytecode> = OnceLock::new();
    if let Some(known) = COMPILED.get() {
        return Ok(known.clone());
    }
    let runtime = Runtime::new()?;
    let context = Context::full(&runtime)?;
    let made = context.with(|ctx| write(&Module::declare(ctx, NAME, PRELUDE)?))?;
    Ok(COMPILED.get_or_init(|| made).clone())
}

/// A script as a module, compiled within the limits of the run that first needs it.
pub(super) fn script<'js>(ctx: &Ctx<'js>, file: &str, code: &str) -> Result<Module<'js, Declared>, Error> {
    let key = Digest::of(format!("{file}\0{code}").as_bytes());
    let known = KEPT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().scripts.get(&key).cloned();
    if let Some(known) = known {
        return load(ctx, &known);
    }
    let module = Module::declare(ctx.clone(), file, code)?;
    // Where memory does not suffice for that, it is run all the same.
    let Ok(made) = write(&module) else { return Ok(module) };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    let size = made.0.len();
    if kept.scripts.len() >= MAX_SCRIPTS || kept.bytes + size > MAX_BYTES {
        *kept = Kept::default();
    }
    if size <= MAX_BYTES && kept.scripts.insert(key, made).is_none() {
        kept.bytes += size;
    }
    Ok(module)
}

/// A module of bytecode.
#[allow(unsafe_code, reason = "the one place: the engine cannot check bytecode, and this was written by it")]
pub(super) fn load<'js>(ctx: &Ctx<'js>, code: &Bytecode) -> Result<Module<'js, Declared>, Error> {
    // SAFETY: `Bytecode` is made by `write` alone, from a module that this very engine compiled in this process; it is never
    // stored, received or changed. The engine copies what it reads (`JS_READ_OBJ_ROM_DATA` is 0), so it need not stay.
    unsafe { Module::load(ctx.clone(), &code.0) }
}

fn write(module: &Module<'_, Declared>) -> Result<Bytecode, Error> {
    Ok(Bytecode(module.write(WriteOptions::default())?.into()))
}
