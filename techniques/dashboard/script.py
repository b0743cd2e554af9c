"""The few lines of JavaScript for what ipywidgets cannot do by its own means.

They run in the page when what `script` returns, an HTML widget's content inside the dashboard, is
shown. They

- keep JupyterLab's shortcuts out of the dashboard (``x`` on a tile would cut the cell);
- name the sliders' handles, which have no name, and leave a slider's number to be read only;
- take ipywidgets' count of files off the upload's button: it says 0 once they are taken;
- say that the page has come, by a button that nobody sees (`Dashboard.tell_again`);
- join a sheet's radio buttons by a name: one stop for the Tab key, arrow keys within;
- stop uploads that the server would answer by closing the connection, and say that others are
  on their way. The chooser of files that ipywidgets makes is not part of the page, so it is met
  where it is opened.

`state` keeps the address (under Voilà) and the sheets' scroll position with what is chosen.
"""

from __future__ import annotations

import html
import os

#: What a server takes in one message unless it was told otherwise, in MB (Tornado's).
USUAL = 10

_SCRIPT = r"""
const begin = tries => {
  const board = this.closest('.vzd');
  if (!board) { if (tries) setTimeout(begin, 50, tries - 1); return; }
  if (board.dataset.begun) return;
  board.dataset.begun = 'true';
  const group = 'vzd' + Math.random();
  const tidy = () => {
    board.querySelectorAll(':is(button, input, select, a, summary, pre, [tabindex])'
        + ':not([data-lm-suppress-shortcuts])').forEach(  // JupyterLab asks what has the focus
      one => one.setAttribute('data-lm-suppress-shortcuts', 'true'));
    board.querySelectorAll('.widget-slider').forEach(slider => {
      const words = slider.querySelector('.widget-label')?.textContent || 'Filter';
      slider.querySelectorAll('[role=slider]').forEach(handle => {
        if (handle.getAttribute('aria-label') !== words) handle.setAttribute('aria-label', words);
      });
      slider.querySelectorAll('.widget-readout').forEach(shown => {
        if (shown.contentEditable !== 'false') shown.contentEditable = 'false';
      });
    });
    board.querySelectorAll('.vzd-sheet').forEach((sheet, i) => {
      sheet.querySelectorAll('input:not([name])').forEach(one => { one.name = group + i; });
    });
    board.querySelectorAll('.vzd-upload').forEach(button => {
      button.childNodes.forEach(part => {  // a count of files that is always 0: they are listed
        if (part.nodeType === 3 && / \(\d+\)$/.test(part.data)) {
          part.data = part.data.replace(/ \(\d+\)$/, '');
        }
      });
    });
    board.querySelectorAll('.vzd-arrived:not([data-told])').forEach(button => {
      button.dataset.told = 'true';
      button.click();
    });
    board.querySelectorAll('[title=null]').forEach(one => one.removeAttribute('title'));
    board.querySelectorAll('[role=progressbar], .widget-progress .progress').forEach(bar => {
      bar.setAttribute('aria-hidden', 'true');  // the words beside it say the same
    });
  };
  new MutationObserver(tidy).observe(board, {childList: true, subtree: true});
  tidy();
  const say = (words, problem) => {
    const place = board.querySelector('.vzd-sending');
    place.setAttribute('role', problem ? 'alert' : 'status');
    place.className = 'vzd-sending' + (problem ? ' vzd-problem' : '');
    place.textContent = words;
  };
  const guard = event => {
    const files = [...event.target.files], most = Number(MOST);
    const bytes = files.reduce((sum, file) => sum + file.size, 0), mb = (bytes / 1e6).toFixed(1);
    const names = files.length === 1 ? files[0].name : files.length + ' pictures together';
    if (bytes > most * 1e6) {
      event.stopImmediatePropagation();
      say(names + (files.length === 1 ? ' has ' : ' have ') + mb + ' MB; this server takes ' + most
          + ' MB at once. Choose fewer or smaller ones, or start it by make lab or make dashboard, '
          + 'which take more.', true);
    } else if (files.length) say('sending ' + names + ', ' + mb + ' MB', false);
  };
  board.addEventListener('click', event => {
    if (!event.target.closest('.vzd-upload')) return;
    const click = HTMLInputElement.prototype.click;
    HTMLInputElement.prototype.click = function () {
      HTMLInputElement.prototype.click = click;
      if (this.type === 'file' && !this.dataset.guarded) {
        this.dataset.guarded = 'true';
        this.addEventListener('change', guard, true);
      }
      return click.call(this);
    };
    setTimeout(() => { HTMLInputElement.prototype.click = click; });
  }, true);
};
begin(200);
"""

def _running(code: str) -> str:
    """HTML that runs code once it is shown; a picture that is none, since scripts are not run."""
    return f'<img src="data:," alt="" hidden onerror="{html.escape(code)}">'


def takes() -> float:
    """MB that this kernel's server takes in one message."""
    return float(os.environ.get("VIZUTILS_UPLOAD_MB", USUAL))


def script() -> str:
    """The dashboard's script, as the content of an HTML widget within it."""
    return _running(_SCRIPT.replace("MOST", f"{takes():g}"))


def state(query: str, *, address: bool) -> str:
    """What keeps the page with what is chosen, as the content of an HTML widget.

    Parameters
    ----------
    query : str
        What is chosen, as it stands in the address behind the question mark.
    address : bool
        Whether the page's address is the dashboard's to change.
    """
    code = """
const look = () => this.closest('.vzd')?.querySelectorAll('.vzd-sheet').forEach(sheet => {
  const tile = sheet.querySelector('input:checked')?.parentElement;
  if (!tile) return;
  const up = tile.offsetTop - sheet.offsetTop, room = sheet.clientHeight - tile.offsetHeight;
  if (up < sheet.scrollTop || up > sheet.scrollTop + room) sheet.scrollTop = up - room / 2;
});
setTimeout(look, 60);
"""
    if address:
        code += f"""
const theme = new URLSearchParams(location.search).get('theme');  // Voilà's
history.replaceState(null, '', '?{query}' + (theme ? '&theme=' + theme : ''));
"""
    return _running(code)
