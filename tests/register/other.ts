export default (ctx) => ({ doubled: ctx.input.x * 3 });
