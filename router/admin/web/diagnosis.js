/** A participant's diagnosis page: fetched with the token, which a link could not carry, and shown as a file of its own. */

const FREE_MS = 60_000;

export async function openDiagnosis(app, room, id, button) {
  button.disabled = true;
  try {
    const response = await app.api.open(["rooms", room, "participants", id, "diagnosis.html"]);
    const url = URL.createObjectURL(new Blob([await response.text()], { type: "text/html" }));
    window.open(url, "_blank", "noopener");
    setTimeout(() => URL.revokeObjectURL(url), FREE_MS);
  } catch (error) {
    app.tell(error.status === 404 ? "This router has no diagnosis of this participant." : error.message);
  } finally {
    button.disabled = false;
  }
}
