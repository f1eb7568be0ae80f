/* Questions before what changes the system, and forms that are sent once. */
"use strict";

document.addEventListener("click", ({ target }) => {
  const opener = target.closest("[data-opens]");
  if (opener) {
    document.getElementById(opener.dataset.opens).showModal();
  }
  target.closest("[data-closes]")?.closest("dialog").close();
});

document.addEventListener("submit", ({ target }) => {
  if (target.matches("[data-once]")) {
    target.querySelectorAll("button").forEach((button) => (button.disabled = true));
  }
});

// Back from the next page, a form can be sent again.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("[data-once] button").forEach((button) => (button.disabled = false));
});
