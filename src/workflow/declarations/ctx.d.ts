// The types of `ctx` in the code of workflows. Generated from the definitions by `evenkeel types`; do not edit.
//
//   export default async function (ctx: WelcomeCtx) { … }    the context of the workflow `welcome`
//   export default async function (ctx: Ctx) { … }           the context of any workflow

/** The context of the code of a workflow. `Input` is the type of its input; the others are declared by its definition. */
interface Ctx<
  Input = unknown,
  Connectors = Evenkeel.Connectors,
  Config = { readonly [name: string]: unknown },
  Secret extends string = Evenkeel.SecretName,
> {
  /** The input of the execution. */
  readonly input: Input;
  /** Headers of the webhook call or event that started it, without credentials; empty for other starts. */
  readonly headers: { readonly [name: string]: string | undefined };
  /** The tenant of the execution; `null` if it has none. */
  readonly tenant: Evenkeel.Tenant | null;
  /** Values of the definition's `config`. */
  readonly config: Config;
  /** This execution. */
  readonly execution: Evenkeel.Execution;
  /** Calls of actions. Each runs once and is recorded: an execution that continues after a crash gets the recorded result. */
  readonly connectors: Connectors;
  /** Runs other workflows and waits for their output. */
  readonly workflows: Evenkeel.Workflows;
  /** Persistent values: of the tenant (or of the organization if there is no tenant), unless another scope is named. */
  readonly state: Evenkeel.State & {
    readonly organization: Evenkeel.State;
    /** Values of this execution only. */
    readonly invocation: Evenkeel.State;
  };
  /** Secrets that the definition lists under `secrets`. */
  readonly secrets: { get(name: Secret): Promise<string> };
  /** Writes to the execution's log. */
  readonly log: Evenkeel.Log;
  /** Runs a function once and records its result as JSON: it is not repeated after a crash. */
  step<T>(name: string, work: () => T | Promise<T>): Promise<T>;
  /** The same, with retries. */
  step<T>(name: string, options: Evenkeel.StepOptions, work: () => T | Promise<T>): Promise<T>;
  /** Waits, across restarts. */
  sleep(time: Evenkeel.Duration): Promise<void>;
  /** Waits for an event of this name that is sent to the execution, and returns its payload. */
  waitForEvent<T = unknown>(name: string, options?: { timeout?: Evenkeel.Duration }): Promise<T>;
  /** Waits for the answer of a person. */
  approval(name: string, options?: { message?: string; roles?: string[]; timeout?: Evenkeel.Duration }): Promise<Evenkeel.Approval>;
  /** Sends a request without an action, if the environment allows the host. */
  fetch(url: string, init?: Evenkeel.FetchInit): Promise<Evenkeel.FetchAnswer>;
  /** The time; the same when the execution continues from its record. */
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
    /** The kind of its origin. */
    readonly triggeredBy: string;
    /** The trigger or workflow that started it. */
    readonly trigger: string;
  }

  interface CallOptions {
    /** The name of a connection; default: the connection of the tenant. */
    connection?: string;
    pathParams?: { [name: string]: string | number | boolean };
    headers?: { [name: string]: string | number | boolean };
    query?: { [name: string]: string | number | boolean };
  }

  /** The error of a failed call. */
  interface CallError extends Error {
    readonly name: "CallError";
    /** The code of the error, such as `"UPSTREAM_ERROR"`. */
    readonly code: string;
    /** The status of the response of the application. */
    readonly status?: number;
    /** The body of the response. */
    readonly body?: unknown;
  }

  interface State {
    /** `undefined` if there is no value. */
    get<T = unknown>(key: string): Promise<T | undefined>;
    /** Stores a value as JSON, for the lifetime if one is given. */
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
    /** Text is sent unchanged; any other value as JSON. */
    body?: unknown;
  }

  interface FetchAnswer {
    readonly status: number;
    /** True for a status from 200 to 299. */
    readonly ok: boolean;
    readonly headers: { readonly [name: string]: string };
    readonly body: string;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
  }
