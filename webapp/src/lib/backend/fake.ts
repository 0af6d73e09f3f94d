export { fakeBackend } from "./fake/backend";
