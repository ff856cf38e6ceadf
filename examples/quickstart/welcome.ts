// The workflow `welcome` of file 3. It reaches only `ctx`: its input, connectors, state, secrets and log.
// `evenkeel types` writes their types to evenkeel.d.ts, so that editors complete connectors and actions.
type Input = { email: string; name?: string };

export default async function (ctx: WelcomeCtx) {
  const input: Input = ctx.input;

  // Two calls of the connector in file 2, by its name and its actions' names in camelCase.
  const contact = await ctx.connectors.orbitCrm.createContact({
    email: input.email,
    name: input.name ?? "friend",
    tags: ["customer"],
  });
  const { contact: saved } = await ctx.connectors.orbitCrm.getContact({}, { pathParams: { id: contact.id } });
  if (!saved) throw new Error(`Orbit does not have the contact ${contact.id}`);

  // Stored across executions, per tenant.
  const customers: number = ((await ctx.state.get<number>("customers")) ?? 0) + 1;
  await ctx.state.set("customers", customers);

  ctx.log.info(`welcome, ${saved.email}`);
  return { contact: saved.id, text: `${ctx.config.greeting}, ${saved.name}!`, customers };
}
