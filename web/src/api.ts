// Talks to the box that serves this page. Every request carries the key that this tab was given, if any.
import { setKeyWanted } from './state';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const storedAs = 'tinderbox.key';

export function apiKey(): string {
  try {
    return sessionStorage.getItem(storedAs) ?? '';
  } catch {
    return '';
  }
}

export function setApiKey(key: string): void {
  try {
    sessionStorage.setItem(storedAs, key);
  } catch {
    // Without storage the prompt comes again with the next request.
  }
}

export const serverGone = 'The server does not answer. Is it still running?';

// What went wrong, in a sentence for people.
export function sentence(error: unknown): string {
  if (error instanceof TypeError) return serverGone;
  return error instanceof Error ? error.message : String(error);
}

function messageOf(body: string): string | null {
  try {
    const parsed = JSON.parse(body) as { error?: { message?: unknown } | string };
    if (typeof parsed.error === 'string') return parsed.error;
    return typeof parsed.error?.message === 'string' ? parsed.error.message : null;
  } catch {
    return null;
  }
}

// A reply with a status below 400; otherwise throws ApiError with the server's own sentence.
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey();
  if (key) headers.set('authorization', `Bearer ${key}`);
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  const text = await response.text();
  if (response.status === 401) setKeyWanted(key ? 'refused' : 'missing');
  const otherwise = `The server answered ${response.status} ${response.statusText}.`;
  throw new ApiError(response.status, messageOf(text) ?? otherwise);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function sendJson<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.headers = { 'content-type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  if (signal) init.signal = signal;
  const text = await (await request(path, init)).text();
  return (text ? JSON.parse(text) : null) as T;
}

// null instead of a thrown 404 (or 405): this box does not have that.
export async function ifThere<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 405)) return null;
    throw error;
  }
}
