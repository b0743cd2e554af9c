/* Copies an element's text. Reports' pages and the explorer both hold this file. Where a page may not
   write to the clipboard by itself, the older way: by a selection, which stays if that fails too. */
async function copyText(from) {
  try {
    await navigator.clipboard.writeText(from.textContent.trim());
    return true;
  } catch {
    getSelection().selectAllChildren(from);
    const done = document.execCommand("copy");
    if (done) getSelection().removeAllRanges();
    return done;
  }
}

