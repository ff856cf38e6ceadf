export default async (ctx) => ({ ok: true, email: ctx.input.email });
