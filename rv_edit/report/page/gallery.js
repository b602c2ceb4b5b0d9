"use strict";
(() => {
  const form = document.querySelector(".filter");
  const cards = [...document.querySelectorAll(".edit")];
  const none = document.querySelector(".none");
  const count = form.querySelector("output");
  const words = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
  const wanted = {
    all: () => true,
    right: (card) => card.dataset.right === "yes",
    wrong: (card) => card.dataset.right === "no",
    any: (card) => card.dataset.clean === "no",
  };

  const apply = () => {
    const fits = wanted[form.elements.show.value] ?? wanted.all;
    const search = form.elements.words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      const text = words.get(card);
      card.hidden = !(fits(card) && search.every((word) => text.includes(word)));
      shown += card.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${cards.length}`;
    none.hidden = shown > 0;
  };

  const move = (step) => {
    const visible = cards.filter((card) => !card.hidden);
    const here = visible.indexOf(document.activeElement?.closest?.(".edit"));
    const next = visible[Math.min(Math.max(here + step, 0), visible.length - 1)];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "start" });
  };

  const light = (card, label) => {
    card.querySelector(".picture").classList.toggle("focus", Boolean(label));
    for (const crop of card.querySelectorAll(".crop")) crop.classList.toggle("lit", crop.dataset.fact === label);
  };
  for (const fact of document.querySelectorAll(".facts li[data-crops]")) {
    const card = fact.closest(".edit");
    const label = fact.querySelector(".chip").dataset.fact;
    for (const on of ["pointerenter", "focus"]) fact.addEventListener(on, () => light(card, label));
    for (const off of ["pointerleave", "blur"]) fact.addEventListener(off, () => light(card, null));
  }

  form.hidden = false;
  document.querySelector(".keys").hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches?.("input[type=search]");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      event.preventDefault();
      form.elements.words.focus();
    }
  });
  apply();
})();
