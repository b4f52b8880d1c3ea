"use strict";
const search = document.getElementById("search");
const count = document.getElementById("count");
const articles = [...document.querySelectorAll("article")].map(node => [node, node.textContent.toLowerCase()]);
search.parentElement.hidden = false;
search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const [node, text] of articles) {
    node.hidden = !words.every(word => text.includes(word));
    shown += !node.hidden;
  }
  count.textContent = shown + " of " + articles.length;
});
for (const box of document.querySelectorAll(".copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = box.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // plain HTTP: there is no clipboard, so the text is selected and copied
      const range = document.createRange();
      range.selectNodeContents(box.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
}
