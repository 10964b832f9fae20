/** A worker that answers in the order of the questions. */

interface Failed {
  readonly kind: "failed";
  readonly reason: string;
}

export class Answers<Question, Answer extends { readonly kind: string }> {
  private readonly waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer | Failed>) => {
      const next = this.waiting.shift();
      if (isFailed(data)) next?.reject(new Error(data.reason));
      else next?.resolve(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const each of this.waiting.splice(0)) each.reject(new Error(event.message));
    };
  }

  /** Returns the answer; an error if the worker failed. */
  ask(question: Question, transfer: Transferable[] = []): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(question, transfer);
    });
  }

  /** Sends a message that has no answer. */
  tell(message: Question): void {
    this.worker.postMessage(message);
  }
}

function isFailed(message: { readonly kind: string }): message is Failed {
  return message.kind === "failed";
}
