// A streamed chat completion.
import { ApiError, request } from '../api';
import { events } from '../sse';

export interface Message {
  role: 'system' | 'user' | 'assistant';
  content: string;
}

export interface Sampling {
  temperature: number;
  top_p: number;
  max_tokens: number;
  seed: number | null;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface Piece {
  text?: string;
  reasoning?: string;
  finish?: string;
  usage?: Usage;
}

interface Chunk {
  error?: { message: string };
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null; reasoning?: string | null };
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
}

export function pieceOf(chunk: Chunk): Piece {
  const piece: Piece = {};
  const choice = chunk.choices?.[0];
  const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
  if (choice?.delta?.content) piece.text = choice.delta.content;
  if (reasoning) piece.reasoning = reasoning;
  if (choice?.finish_reason) piece.finish = choice.finish_reason;
  if (chunk.usage) piece.usage = chunk.usage;
  return piece;
}

export function bodyOf(model: string, messages: Message[], sampling: Sampling): Record<string, unknown> {
  const { temperature, top_p, max_tokens, seed } = sampling;
  const body: Record<string, unknown> = {
    model,
    messages,
    temperature,
    max_tokens,
    stream: true,
    stream_options: { include_usage: true },
  };
  if (top_p !== 1) body['top_p'] = top_p;
  if (seed !== null) body['seed'] = seed;
  return body;
}

// Throws with the server's own sentence.
export async function* complete(body: Record<string, unknown>, signal: AbortSignal): AsyncGenerator<Piece> {
  const response = await request('/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.body) throw new ApiError(response.status, 'The server sent no answer.');
  let done = false; // read on to the end of the body, so that the connection can serve again
  for await (const data of events(response.body)) {
    done ||= data === '[DONE]';
    if (done) continue;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new ApiError(response.status, chunk.error.message);
    yield pieceOf(chunk);
  }
  if (!done) throw new ApiError(response.status, 'The server ended the answer early; it may have stopped.');
}
