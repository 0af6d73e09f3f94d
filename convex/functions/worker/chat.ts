import * as asks from "../../model/asks";
import { mutation, query } from "../../model/builders";
import * as chats from "../../model/chats";
import * as streams from "../../model/streams";
import * as turns from "../../model/turns";
import { readTranscript, viewChat } from "../../model/views";

export const startSession = mutation("worker.chat.startSession", chats.startSession);
export const renameSession = mutation("worker.chat.renameSession", chats.renameSession);
export const endSession = mutation("worker.chat.endSession", chats.endSession);
export const sendMessage = mutation("worker.chat.sendMessage", turns.sendMessage);
export const cancelTurn = mutation("worker.chat.cancelTurn", turns.cancelTurn);
export const continueTurn = mutation("worker.chat.continueTurn", turns.continueTurn);
export const answerAsk = mutation("worker.chat.answerAsk", asks.answerAsk);
export const view = query("worker.chat.view", viewChat);
export const transcript = query("worker.chat.transcript", readTranscript);
export const reportSession = mutation("worker.chat.reportSession", chats.reportSession);
export const takeTurn = mutation("worker.chat.takeTurn", turns.takeTurn);
export const writeMessage = mutation("worker.chat.writeMessage", turns.writeMessage);
export const openAsk = mutation("worker.chat.openAsk", asks.openAsk);
export const settleAsk = mutation("worker.chat.settleAsk", asks.settleAsk);

// The chunk stream, which the hub offers by the Durable Streams protocol.
export const writeChunk = mutation("worker.chat.writeChunk", streams.writeChunk);
export const chunks = query("worker.chat.chunks", streams.readChunks);
export const viewing = mutation("worker.chat.viewing", streams.viewing);
