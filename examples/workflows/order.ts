// An order. Each call of `ctx` runs once and its result is stored: after a restart, the code runs from its beginning and
// finished calls return their stored results.
export default async function (ctx: any) {
  const { id, total } = ctx.input;
  const reservation = await ctx.connectors.store.reserve({ order: id });

  if (total > 100) {
    // Waits for `evenkeel executions approve ID ship`; no process runs meanwhile.
    const answer = await ctx.approval("ship", { message: `Ship order ${id} for ${total}?`, timeout: "2h" });
    if (!answer.approved) throw new Error(`order ${id} was not approved`);
  }

  await ctx.sleep("10m"); // time for a cancellation
  await ctx.state.set("last-order", id, { ttl: "7d" });
  return { order: id, reservation: reservation.id, shipped: ctx.now().toISOString() };
}
