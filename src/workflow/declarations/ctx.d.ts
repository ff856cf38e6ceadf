// What `ctx` is in the code of workflows. Made from the definitions by `evenkeel types`: do not edit, make it anew.
//
//   export default async function (ctx: WelcomeCtx) { … }    the context of the workflow `welcome`
//   export default async function (ctx: Ctx) { … }           that of any

/** What the code of a workflow is given. `Input` is what starts it; the rest is what its definition declares. */
interface Ctx<
  Input = unknown,
  Connectors = Evenkeel.Connectors,
  Config = { readonly [name: string]: unknown },
  Secret extends string = Evenkeel.SecretName,
> {
  /** What the workflow was started with. */
  readonly input: Input;
  /** Headers of the request or event that started it, without credentials. */
  readonly headers: { readonly [name: string]: string | undefined };
  /** The tenant that it runs for; `null` where it runs for none. */
  readonly tenant: Evenkeel.Tenant | null;
  /** Values of the definition's `config`. */
  readonly config: Config;
  /** This execution. */
  readonly execution: Evenkeel.Execution;
  /** Calls of actions. Each is done once and recorded: an execution that goes on after a crash gets the recorded answer. */
  readonly connectors: Connectors;
  /** Runs other workflows and waits for their output. */
  readonly workflows: Evenkeel.Workflows;
  /** Values that stay: of the tenant (or of the organization, where there is no tenant), unless another scope is named. */
  readonly state: Evenkeel.State & {
    readonly organization: Evenkeel.State;
    /** Of this execution only. */
    readonly invocation: Evenkeel.State;
  };
  /** Secrets that the definition lists under `secrets`. */
  readonly secrets: { get(name: Secret): Promise<string> };
  /** Writes to the execution's log. */
  readonly log: Evenkeel.Log;
  /** Runs a function once and records what it returns, as JSON: it is not run again after a crash. */
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
  /** The same, tried again where it fails. */
  step<T>(name: string, options: Evenkeel.StepOptions, work: () => T | Promise<T>): Promise<T>;
  /** Waits; also over a restart. */
  sleep(time: Evenkeel.Duration): Promise<void>;
  /** Waits until somebody sends an event of this name to the execution, and gives what was sent. */
  waitForEvent<T = unknown>(name: string, options?: { timeout?: Evenkeel.Duration }): Promise<T>;
  /** Waits for a person's answer. */
  approval(name: string, options?: { message?: string; timeout?: Evenkeel.Duration }): Promise<Evenkeel.Approval>;
  /** Sends a request that no action describes, where the environment allows the host. */
  fetch(url: string, init?: Evenkeel.FetchInit): Promise<Evenkeel.FetchAnswer>;
  /** The time; the same when the execution goes on from its record. */
  now(): Date;
}

declare namespace Evenkeel {
  /** Milliseconds, or text such as `"30s"`, `"2h30m"` or `"7d"`. */
  type Duration = number | string;

  interface Tenant {
    readonly id: string;
    readonly displayName?: string;
    readonly externalId?: string | null;
    readonly region?: string | null;
    readonly plan?: string | null;
  }

  interface Execution {
    readonly id: string;
    readonly workflow: string;
    readonly version: number;
    /** From 1. */
    readonly attempt: number;
    readonly environment: string;
    /** What kind of thing started it. */
    readonly triggeredBy: string;
    /** The trigger or workflow that started it. */
    readonly trigger: string;
  }

  interface CallOptions {
    /** A connection by its name; the tenant's own where left out. */
    connection?: string;
    pathParams?: { [name: string]: string | number | boolean };
    headers?: { [name: string]: string | number | boolean };
    query?: { [name: string]: string | number | boolean };
  }

  /** What is thrown where a call fails. */
  interface CallError extends Error {
    readonly name: "CallError";
    /** What went wrong, such as `"UPSTREAM_ERROR"`. */
    readonly code: string;
    /** The status that the application answered with. */
    readonly status?: number;
    /** What it answered. */
    readonly body?: unknown;
  }

  interface State {
    /** `undefined` where there is nothing. */
    get<T = unknown>(key: string): Promise<T | undefined>;
    /** Keeps a value, as JSON; until the time is over, where one is given. */
    set(key: string, value: unknown, options?: Duration | { ttl?: Duration }): Promise<void>;
    delete(key: string): Promise<void>;
  }

  interface Log {
    debug(...parts: unknown[]): void;
    info(...parts: unknown[]): void;
    warn(...parts: unknown[]): void;
    error(...parts: unknown[]): void;
  }

  interface StepOptions {
    retry?: { maxAttempts?: number; initialInterval?: Duration; backoffCoefficient?: number };
  }

  interface Approval {
    readonly approved: boolean;
    readonly comment?: string | null;
    readonly [name: string]: unknown;
  }

  interface FetchInit {
    method?: string;
    headers?: { [name: string]: string };
    /** Text as it is; anything else as JSON. */
    body?: unknown;
  }

  interface FetchAnswer {
    readonly status: number;
    /** Is the status one from 200 to 299? */
    readonly ok: boolean;
    readonly headers: { readonly [name: string]: string };
    readonly body: string;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
  }
