;; Asks for more than its memory can ever have, many times.
(component
  (core module $code
    (memory 2 2)
    (func $start (local $left i32)
      (local.set $left (i32.const 1000))
      (loop $more
        (drop (memory.grow (i32.const 10)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (local.get $left))))
    (start $start))
  (core instance (instantiate $code)))
