export default (ctx) => ({ doubled: ctx.input.x * 2, now: ctx.now().toISOString() });
