// Books a parcel and prints its label, which fails: the printer is out of paper.
export default async function (ctx: any) {
  ctx.log.info(`order ${ctx.input.order} for ${ctx.input.email}`);
  const shipment = await ctx.step("book", () =>
    ctx.connectors.parcelo.createShipment({ to: ctx.input.email, weight: 2.5, service: "express" }),
  );
  ctx.log.warn("the printer answers slowly", { shipment: shipment.id });
  const label = await ctx.connectors.parcelo.printLabel({ shipment: shipment.id });
  return { shipment, label };
}
