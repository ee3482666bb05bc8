/**
 * fork-router's browser client: dependency-free ES modules without a build step. Import this file; the parts are below
 * client/, the types in client.d.ts.
 */

export { RouterError } from "./client/http.js";
export { Room } from "./client/room.js";
export { whepPlay, whipPublish } from "./client/whip.js";
